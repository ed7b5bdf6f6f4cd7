"""The people and groups of a made-up company, as its identity provider knows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.cycles.wire import Phase
from tests.harness import Rosterd


@dataclass
class Person:
    """key: the provider's own id, which never changes. id: what SCIM answered.

    is_known: whether the directory was ever told of them. is_in: whether they should be let in.
    """

    key: str
    name: str
    given: str
    family: str
    title: str = "Engineer"
    is_known: bool = False
    is_in: bool = True
    id: str = ""

    @property
    def full(self) -> str:
        return f"{self.given} {self.family}"


@dataclass
class Team:
    """A group. members: keys of people."""

    key: str
    name: str
    members: set[str] = field(default_factory=set)
    is_known: bool = False
    id: str = ""


def company(count: int, *, prefix: str) -> tuple[list[Person], list[Team]]:
    """So many people, in a team of ten each."""
    people = [
        Person(f"{prefix}{n:05}", f"p{n}@example.com", f"Given{n}", f"Family{n}")
        for n in range(count)
    ]
    teams = [
        Team(f"{prefix}g{n // 10:04}", f"Team {n // 10}", {one.key for one in people[n : n + 10]})
        for n in range(0, count, 10)
    ]
    return people, teams


def some(people: list[Person], part: int, *, of: int) -> list[Person]:
    """Every `of`th person, beginning with number `part`."""
    return people[part::of]


def accept(rosterd: Rosterd, address: str) -> None:
    """An operator says that the person has accepted."""
    (found,) = rosterd.json("user", "list", "--email", address)
    done = rosterd.cli("user", "accept", found["id"], "--reason", "the cycle needs one")
    assert done.returncode == 0, done.stderr


def compare(
    rosterd: Rosterd, phase: Phase, people: Iterable[Person], teams: Iterable[Team]
) -> None:
    """Note as faults of the phase what the directory has otherwise than the provider."""
    lines = rosterd.export()
    users = {one["external_id"]: one for one in lines if one["kind"] == "user"}
    known = [one for one in people if one.is_known]
    phase.faults += [f"{one.key}: {why}" for one in known for why in _person(one, users)]
    members: dict[str, set[str]] = {}
    for line in lines:
        if line["kind"] == "membership":
            members.setdefault(line["group"], set()).add(line["user"])
    groups = {one["external_id"]: one["name"] for one in lines if one["kind"] == "group"}
    wanted = {one.key: one for one in teams if one.is_known}
    if groups != {key: one.name for key, one in wanted.items()}:
        phase.faults.append("the groups or their names differ")
    phase.faults += [
        f"{key}: members differ"
        for key, one in wanted.items()
        if members.get(key, set()) != one.members
    ]


def _person(person: Person, users: dict[Any, Any]) -> list[str]:
    found = users.pop(person.key, None)
    if found is None:
        return ["is not in the directory"]
    is_in = found["state"] in {"active", "invited"}
    told = (found["requested_email"], found["display_name"], is_in)
    wanted = (person.name, person.full, person.is_in)
    return [] if told == wanted else [f"{told} in place of {wanted}"]
