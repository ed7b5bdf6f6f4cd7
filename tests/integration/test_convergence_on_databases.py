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
