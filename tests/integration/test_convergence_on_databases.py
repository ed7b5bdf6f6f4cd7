"""G4 and D1 again, through HTTP on the real databases: two accounts, one history, two orders."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from domain.changes import (
    AddMember,
    Change,
    ChangeEmail,
    DeleteGroup,
    ProvisionUser,
    PutGroup,
    ReactivateUser,
    RemoveMember,
    ReplaceMembers,
    SuspendUser,
    UpdateProfile,
)
from domain.errors import RefusedError
from tests.builders import IdP
from tests.exploring import patient
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.vault import new_id

Told = tuple[str, Change, int]
#: Each example is two accounts on a real database; the unit test tries thousands in memory.
EXAMPLES = 8


def spoken(change: Change) -> tuple[str, dict[str, Any]]:
    """The change as the `standard` source says it."""
    return SPOKEN[type(change)](change)


SPOKEN: dict[type, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    ProvisionUser: lambda c: ("user.upserted", _described(c)),
    ChangeEmail: lambda c: ("user.email_changed", {"id": c.user, "email": c.email}),
    SuspendUser: lambda c: ("user.suspended", {"id": c.user}),
    ReactivateUser: lambda c: ("user.reactivated", {"id": c.user}),
    PutGroup: lambda c: ("group.upserted", {"id": c.group, "name": c.name}),
    DeleteGroup: lambda c: ("group.deleted", {"id": c.group}),
    AddMember: lambda c: ("group.member_added", {"group_id": c.group, "user_id": c.user}),
    RemoveMember: lambda c: ("group.member_removed", {"group_id": c.group, "user_id": c.user}),
    ReplaceMembers: lambda c: (
        "group.members_replaced",
        {"group_id": c.group, "user_ids": list(c.users)},
    ),
}


def _described(change: ProvisionUser) -> dict[str, Any]:
    said = {"id": change.user, "email": change.email, **change.profile}
    return said if change.active is None else {**said, "active": change.active}


def history(data: st.DataObject, steps: int, *, may_rehire: bool) -> list[Told]:
    idp = IdP(data, may_rehire=may_rehire)
    for _ in range(steps):
        idp.step()
    log = [(name, change) for name, _, change in idp.log if not isinstance(change, UpdateProfile)]
    return [(name, change, place) for place, (name, change) in enumerate(log)]


def account(rosterd: Rosterd) -> tuple[Feed, str]:
    feed = rosterd.account(name=new_id("acc"))
    return feed, rosterd.account_id


def send(rosterd: Rosterd, feed: Feed, told: list[Told], sizes: list[int]) -> None:
    """Deliver in batches of these sizes, each applied before the next."""
    ends = set()
    position = 0
    for size in sizes:
        position += size
        ends.add(position)
    for index, (name, change, place) in enumerate(told, start=1):
        type_, data = spoken(change)
        assert rosterd.tell(feed, type_, data, at=place, id_=name, drain=index in ends) == 200
    rosterd.drain()


def export(rosterd: Rosterd, owner: str) -> list[str]:
    return [str({**line, "connection": "x"}) for line in rosterd.export(owner)]


def accounted_for(rosterd: Rosterd) -> None:
    assert {e["state"] for e in rosterd.events()} <= {"ended", "waiting"}


@patient(EXAMPLES)
@pytest.mark.timeout(900)
@given(data=st.data(), steps=st.integers(2, 10))
def test_g4_d1_any_order_on_the_real_databases(
    rosterd: Rosterd, data: st.DataObject, steps: int
) -> None:
    log = history(data, steps, may_rehire=True)
    again = data.draw(st.lists(st.sampled_from(log), max_size=3)) if log else []
    mixed = data.draw(st.permutations([*log, *again]))
    sizes = data.draw(st.lists(st.integers(1, 5), max_size=6))
    one, first = account(rosterd)
    send(rosterd, one, log, [1] * len(log))
    other, second = account(rosterd)
    send(rosterd, other, mixed, sizes)
    note("\n".join(f"{name} {change}" for name, change, _ in log))
    note(f"arrives as {[name for name, _, _ in mixed]} in {sizes}")
    assert export(rosterd, first) == export(rosterd, second)
    accounted_for(rosterd)


@patient(EXAMPLES)
@pytest.mark.timeout(900)
@given(data=st.data(), before=st.integers(1, 7), after=st.integers(1, 7))
def test_d1_d3_the_same_answers_any_order_on_the_real_databases(
    rosterd: Rosterd, data: st.DataObject, before: int, after: int
) -> None:
    log = history(data, before + after, may_rehire=False)
    early, late = log[:before], log[before:]
    one, first = account(rosterd)
    send(rosterd, one, early, [1] * len(early))
    other, second = account(rosterd)
    send(rosterd, other, data.draw(st.permutations(early)), [])
    chosen = data.draw(st.sets(st.sampled_from(["u0", "u1", "u2", "u3"])))
    for owner in (first, second):
        answer(rosterd, owner, chosen)
    assert export(rosterd, first) == export(rosterd, second)
    send(rosterd, one, late, [1] * len(late))
    send(rosterd, other, data.draw(st.permutations(late)), [])
    note("\n".join(f"{name} {change}" for name, change, _ in log))
    assert export(rosterd, first) == export(rosterd, second)


def answer(rosterd: Rosterd, owner: str, keys: set[str]) -> None:
    """Those people say yes to whatever they have open."""
    people = rosterd.table(rows.people, rows.people.c.account_id == owner)
    for person in people:
        if person["user_key"] in keys:
            with suppress(RefusedError):  # who has nothing open has nothing to accept
                rosterd.parts.members.vouch(person["id"], actor="test", reason="property")


def observing(rosterd: Rosterd) -> tuple[Feed, str]:
    """An account whose connection observes, set up as an operator does it."""
    name = new_id("acc")
    owner = rosterd.json("account", "add", name, "--domain", "example.com")["id"]
    source = ("--source", "standard", "--observe")
    made = rosterd.json("connection", "add", "--account", name, *source)
    return Feed(made["feed"], made["id"], made["signing_secret"]), owner


def open_links(rosterd: Rosterd, owner: str) -> list[tuple[str, str]]:
    """What members of an account could still answer."""
    mine = (rows.links.c.account_id == owner) & (rows.links.c.state == "open")
    return sorted((row["address"], row["kind"]) for row in rosterd.table(rows.links, mine))


@patient(EXAMPLES)
@pytest.mark.timeout(900)
@given(data=st.data(), before=st.integers(1, 12), after=st.integers(0, 4))
def test_s4_g4_observing_and_going_live_ends_as_if_it_had_been_live_from_the_start(
    rosterd: Rosterd, data: st.DataObject, before: int, after: int
) -> None:
    """Told in any order while it observes, what was told decides in the order it happened in.

    What comes live beside a history that is under way may be decided before it, so that there a
    rehire, which is a decision by what is known (D1), is left out.
    """
    is_under_way = data.draw(st.booleans())
    log = history(data, before + after, may_rehire=not is_under_way)
    early, late = log[:before], log[before:]
    again = data.draw(st.lists(st.sampled_from(early), max_size=3)) if early else []
    arrives = data.draw(st.permutations([*early, *again]))
    live, first = account(rosterd)
    send(rosterd, live, log, [1] * len(log))
    other, second = observing(rosterd)
    send(rosterd, other, arrives, data.draw(st.lists(st.integers(1, 5), max_size=4)))
    assert rosterd.export(second) == [], "nothing of it is applied"
    words = ("--yes", "--wait", "0", "--reason", "property")
    done = rosterd.cli("connection", "go-live", other.connection, *words)
    assert done.returncode == 0, done.stderr
    if not is_under_way:
        rosterd.drain()
    send(rosterd, other, late, [1] * len(late))
    note("\n".join(f"{name} {change}" for name, change, _ in log))
    note(f"arrives as {[name for name, _, _ in arrives]}, live from {before} on")
    assert export(rosterd, first) == export(rosterd, second)
    assert open_links(rosterd, first) == open_links(rosterd, second)
    accounted_for(rosterd)
