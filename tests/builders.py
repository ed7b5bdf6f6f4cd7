"""What tests are made of: drains over memory, histories of an identity provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from hypothesis.strategies import binary

from domain.acceptance import accept_address, accept_invitation
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
from domain.consequences import link_of
from domain.erasure import buried
from domain.exchange import Party
from domain.holding import freed
from domain.inbox import Kind
from domain.keys import address_id, user_id, when_settled, when_user_seen
from domain.ordering import LISTING
from domain.overriding import as_told
from domain.policy import Policy
from domain.settle import UserState
from domain.values import BEGINNING
from tests.fakes.memory import START, Memory, MemorySource
from worker.services.drain import Drain
from worker.services.world import World

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

#: What a handful of an identity provider's steps are chosen by.
DRAWN = 32


def policy(**changes: Any) -> Policy:
    """A policy that allows example.com."""
    return Policy(**{"connection": "con", "domains": frozenset({"example.com"}), **changes})


def drain(memory: Memory, *, batch_size: int = 500) -> None:
    """Apply everything that is due."""
    source = MemorySource(memory)

    def report(event: str, fields: object) -> None:
        raise AssertionError(f"{event}: {fields}")

    draining = Drain(
        works=cast("Any", memory.work),
        source_named=lambda _name: cast("Any", source),
        new_id=memory.new_id,
        random=lambda: 0.5,
        monotonic=lambda: 0.0,
        sleep=lambda _seconds: None,
        report=report,
        after=lambda _work, _results: None,
        batch_size=batch_size,
    )
    draining.run(lane="standard", kind=Kind.USERS_CREATE, budget=timedelta(seconds=1))


def accept(memory: Memory, person_id: str) -> None:
    """The member says yes to whatever link is open."""
    state = memory.state
    person = state.people[person_id]
    link = link_of(person)
    assert link is not None
    assert person.connection is not None
    assert person.user is not None
    user = state.users[user_id(person.connection, person.user)]
    known = UserState(
        account="acc",
        user=user,
        person=person,
        pinned=state.people[user.pinned.person] if user.pinned else None,
        holder_of=lambda address: state.people.get(
            state.addresses.get(address_id("acc", address)) or ""
        ),
        fresh_id="",
        party_of=lambda address: _party(memory, address),
    )
    decide = accept_invitation if link.kind == "invitation" else accept_address
    settled = decide(known, memory.policies[person.connection], link.address)
    with memory.work() as work:
        world = World(store=work)
        world.people = dict(state.people)
        world.addresses = dict(state.addresses)
        for after in (settled.user, *settled.moved):
            world.writes.users[user_id(after.connection, after.key)] = after
        for person_after in settled.people:
            for key in freed(world.people.get(person_after.id), person_after):
                world.touch(key, 0)
            world.put_person(person_after)
        work.save(world.writes)
        work.wake({when_settled(key) for key in world.writes.users} | world.touched.keys())
        work.commit()


def _party(memory: Memory, address: str) -> Party | None:
    state = memory.state
    holder = state.people.get(state.addresses.get(address_id("acc", address)) or "")
    if holder is None or holder.connection is None or holder.user is None:
        return None
    return Party(as_told(holder), state.users[user_id(holder.connection, holder.user)])


def erase(memory: Memory, key: str) -> bool:
    """An operator deletes a subject's suspended person for good (U5); whether there was one."""
    state = memory.state
    user = state.users.get(user_id("con", key))
    person = state.people.get(user.person or "") if user is not None else None
    if user is None or person is None or not person.is_suspended:
        return False
    floor = buried(user.facts, BEGINNING).floor
    state.buried[user_id("con", key)] = floor
    del state.users[user_id("con", key)]
    del state.people[person.id]
    for address in [a for a, holder in state.addresses.items() if holder == person.id]:
        del state.addresses[address]
    for edge in [e for e, found in state.edges.items() if found.user == key]:
        del state.edges[edge]
    with memory.work() as work:
        work.wake({when_settled(user_id("con", key)), when_user_seen(user_id("con", key))})
        work.commit()
    return True


@dataclass
class IdP:
    """A well-behaved identity provider: unique addresses among those who are in.

    Whoever takes over a leaver's address keeps it, and nobody returns who ever shared an
    address: a rehire is a decision (D1, D4), made by what is known when it is made, so such a
    history ends in one of two directories. tests/property/test_convergence.py shows both.
    """

    data: DataObject
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    log: list[tuple[str, datetime, Change]] = field(default_factory=list)
    may_rehire: bool = True
    _drawn: bytes = b""

    def tell(self, change: Change) -> None:
        """The IdP sends an event, a second after the one before."""
        at = START + timedelta(days=1, seconds=len(self.log))
        self.log.append((f"e{len(self.log)}", at, change))

    def _draw(self, options: list[Any]) -> Any:
        return sorted(options)[self._byte() % len(options)]

    def _byte(self) -> int:
        """Drawn many at a time: one by one they cost as much as what is made of them."""
        if not self._drawn:
            self._drawn = self.data.draw(binary(min_size=DRAWN, max_size=DRAWN))
        byte, self._drawn = self._drawn[0], self._drawn[1:]
        return byte

    def _free(self, key: str | None = None) -> list[str]:
        """Addresses that the IdP would let a person have now."""
        taken = {
            u["email"]
            for k, u in self.users.items()
            if k != key and (u["in"] or not self.may_rehire)
        }
        if not self.may_rehire:
            taken |= {e for k, u in self.users.items() if k != key for e in u["had"]}
        return sorted({f"a{i}@example.com" for i in range(5)} - taken)

    def step(self) -> None:
        """One thing that happens at the IdP."""
        actions = [
            "hire",
            "name",
            "move",
            "leave",
            "return",
            "group",
            "join",
            "part",
            "ungroup",
            "exactly",
            "listed",
        ]
        getattr(self, self._draw(actions))()

    def hire(self) -> None:
        new = sorted({f"u{i}" for i in range(4)} - set(self.users))
        free = self._free()
        if new and free:
            key, email = self._draw(new), self._draw(free)
            self.users[key] = {"email": email, "in": True, "had": {email}}
            self._note_take_over(key)
            self.tell(
                ProvisionUser(
                    key, email, {"given_name": key}, active=self._draw([True, False]) or None
                )
            )

    def name(self) -> None:
        if self.users:
            key = self._draw(list(self.users))
            self.tell(UpdateProfile(key, {"given_name": f"{key}-{len(self.log)}"}))

    def move(self) -> None:
        movable = [k for k, u in self.users.items() if not u["took_over"]]
        if movable:
            key = self._draw(movable)
            free = self._free(key)
            if free:
                self._set_email(key, self._draw(free))
                self.tell(ChangeEmail(key, self.users[key]["email"]))

    def _set_email(self, key: str, email: str) -> None:
        self.users[key]["email"] = email
        self.users[key]["had"].add(email)
        self._note_take_over(key)

    def _has_shared(self, key: str) -> bool:
        had = self.users[key]["had"]
        return any(had & u["had"] for k, u in self.users.items() if k != key)

    def _note_take_over(self, key: str) -> None:
        user = self.users[key]
        user["took_over"] = user.get("took_over", False) or any(
            not u["in"] and u["email"] == user["email"] for k, u in self.users.items() if k != key
        )

    def leave(self) -> None:
        inside = [k for k, u in self.users.items() if u["in"]]
        if inside:
            key = self._draw(inside)
            self.users[key]["in"] = False
            self.tell(SuspendUser(key))

    def back(self, key: str) -> None:
        self.users[key]["in"] = True
        self._note_take_over(key)
        if self._draw([True, False]):
            self.tell(ReactivateUser(key))
        else:
            self.tell(ProvisionUser(key, self.users[key]["email"], active=True))

    def listed(self) -> None:
        """Somebody is missing in a full list, or is in one again (S3)."""
        known = [key for key, user in self.users.items() if user["in"]]
        if known:
            key = self._draw(known)
            is_missing = self._draw([True, False])
            change = SuspendUser if is_missing else ReactivateUser
            self.tell(change(key, LISTING))

    def group(self) -> None:
        key = self._draw(["g1", "g2"])
        self.groups.add(key)
        self.tell(PutGroup(key, f"{key}-{len(self.log)}"))

    def ungroup(self) -> None:
        if self.groups:
            key = self._draw(list(self.groups))
            self.groups.discard(key)
            self.tell(DeleteGroup(key))

    def join(self) -> None:
        self.tell(AddMember(self._draw(["g1", "g2"]), self._draw(["u0", "u1", "u2"])))

    def part(self) -> None:
        self.tell(RemoveMember(self._draw(["g1", "g2"]), self._draw(["u0", "u1", "u2"])))

    def exactly(self) -> None:
        users = tuple(key for key in ("u0", "u1", "u2") if self._draw([True, False]))
        self.tell(ReplaceMembers(self._draw(["g1", "g2"]), users))


def _return(self: IdP) -> None:
    """Bring somebody back, with an address that is free for them."""
    outside = [k for k, u in self.users.items() if not u["in"] and not self._has_shared(k)]
    if not outside:
        return
    key = self._draw(outside)
    free = self._free(key)
    if self.users[key]["email"] not in free:
        if not free:
            return
        self._set_email(key, self._draw(free))
        self.tell(ChangeEmail(key, self.users[key]["email"]))
    self.back(key)


setattr(IdP, "return", _return)
