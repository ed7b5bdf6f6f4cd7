"""The drain's unit of work in memory: copied on enter, published on commit, like the real ones."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from domain.breaker import BreakerRule, BreakerWrites, Window
from domain.changes import Change
from domain.groups import is_current
from domain.hydration import Answer, Wanted
from domain.inbox import Kind, Lane, State
from domain.keys import edge_id
from domain.model import Edge, Group, Person, PersonState, Role, User
from domain.own_groups import OwnGroup, name_key
from domain.policy import Policy
from domain.ports import AccessNote, ClaimedEvent, Parsed, Result, Writes
from domain.protection import Keeper
from domain.values import Stamp, stamp_key

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Stored:
    """Everything that is stored."""

    users: dict[str, User] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    own: dict[str, OwnGroup] = field(default_factory=dict)
    buried: dict[str, Stamp] = field(default_factory=dict)
    addresses: dict[str, str | None] = field(default_factory=dict)
    events: dict[int, ClaimedEvent] = field(default_factory=dict)
    changes: dict[int, tuple[Change, ...]] = field(default_factory=dict)
    results: dict[int, Result] = field(default_factory=dict)
    due: dict[int, datetime] = field(default_factory=dict)
    waits: dict[int, tuple[str, ...]] = field(default_factory=dict)
    mails: list[tuple[str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    kept: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    marks: dict[tuple[str, str], datetime] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    held: dict[int, str] = field(default_factory=dict)
    access: list[AccessNote] = field(default_factory=list)


class Memory:
    """A database in memory with one account and as many connections as policies."""

    def __init__(self, *policies: Policy) -> None:
        self.state = Stored()
        self.policies = {policy.connection: policy for policy in policies}
        self.now = START + timedelta(days=20)
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        """An id that nobody has."""
        return f"p{next(self._ids)}"

    def add(
        self,
        name: str,
        *changes: Change,
        at: datetime,
        connection: str = "con",
        feed: str = "fed",
        received_at: datetime | None = None,
    ) -> bool:
        """Store an event unless its name is known; whether it is new."""
        if name in self.state.keys:
            return False
        self.state.keys.add(name)
        number = len(self.state.events) + 1
        self.state.events[number] = ClaimedEvent(
            id=number,
            account="acc",
            connection=connection,
            feed=feed,
            delivery=number,
            ordinal=0,
            key=stamp_key(sha256(name.encode()).digest()),
            type=name,
            kind=Kind.USERS_CREATE,
            lane="standard",
            occurred_at=at,
            received_at=received_at or self.now,
            attempts=0,
            crashes=0,
            waiting_since=None,
            is_first_try=True,
        )
        self.state.changes[number] = changes
        self.state.due[number] = self.now
        return True

    @contextmanager
    def work(self) -> Iterator[MemoryWork]:
        """A unit of work."""
        yield MemoryWork(self)

    def answer_holds(self, *, approve: bool) -> list[str]:
        """As an operator answers what the breaker holds; the names of its events."""
        state = self.state
        held, state.held = state.held, {}
        state.holds.clear()
        for number in held:
            if approve:
                state.events[number] = replace(state.events[number], is_replayed=True)
                state.due[number] = self.now
        if approve:
            state.marks.clear()
        return [state.events[number].type for number in held]

    def export(self) -> list[tuple[object, ...]]:
        """The directory as sorted tuples, by the rules of `directory export`.

        Without the profile of people who left management: they keep the one they had when
        they were replaced (E5), and a late word about that time no longer reaches them.
        """
        state = self.state
        lines: list[tuple[object, ...]] = [
            (
                "user",
                p.connection,
                p.user,
                p.email,
                p.requested,
                p.profile.get("given_name") if p.is_managed else None,
                p.profile.get("display_name") if p.is_managed else None,
                p.state.value,
            )
            for p in state.people.values()
            if p.state is not PersonState.WITHDRAWN
        ]
        lines += [
            ("group", g.connection, g.key, g.name[1]) for g in state.groups.values() if g.is_seen
        ]
        for edge in state.edges.values():
            group = state.groups[f"{edge.connection}:{edge.group}"]
            if group.is_deleted or not is_current(edge, group):
                continue
            user = state.users.get(f"{edge.connection}:{edge.user}")
            seen = group.is_seen and user is not None and user.person is not None
            lines.append(("membership", edge.connection, edge.group, edge.user, seen))
        return sorted(lines, key=repr)


class MemoryWork:
    """One transaction of it: `DrainWork` and `DirectoryStore` at once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._state = copy.copy(memory.state)
        for name in Stored.__dataclass_fields__:
            setattr(self._state, name, copy.copy(getattr(memory.state, name)))
        self.now = memory.now
        self.directory = self
        self.breaker = MemoryBreakers(self._state, memory.now)
        self.reads = self
        self.has_announced = self.has_urgent_news = False

    # -- events ------------------------------------------------------------------------

    def known(self, asked: Collection[str]) -> dict[str, Answer]:
        return {}

    def want(self, wanted: Mapping[str, tuple[str, Wanted, Lane]]) -> None:
        """Nothing is read here."""

    def claim(
        self, *, lane: str, kind: Kind, limit: int, troubled: bool, is_guest: bool = False
    ) -> list[ClaimedEvent]:
        del lane, kind, is_guest
        ready = [
            self._state.events[number]
            for number, due in sorted(self._state.due.items(), key=lambda item: (item[1], item[0]))
            if due <= self.now
        ]
        return [e for e in ready if (e.attempts > 0 or e.crashes > 0) is troubled][:limit]

    def retake(self, ids: Sequence[int]) -> list[ClaimedEvent]:
        return [self._state.events[number] for number in ids if number in self._state.due]

    def reopen(self, ids: Sequence[int]) -> None:
        self._state.due.update(dict.fromkeys(ids, self.now))

    def bodies(self, events: Sequence[ClaimedEvent]) -> dict[int, bytes]:
        return {event.delivery: str(event.id).encode() for event in events}

    def policies(self, events: Sequence[ClaimedEvent]) -> dict[str, Policy]:
        del events
        return self._memory.policies

    def sources(self, events: Sequence[ClaimedEvent]) -> dict[str, str]:
        return {event.feed: "memory" for event in events}

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """Nothing here is far away."""

    def renamed(self, connection: str, keys: Collection[str]) -> dict[str, str]:
        del connection, keys
        return {}

    def keep(self, event: ClaimedEvent, keeps: Mapping[str, Any]) -> None:
        self._state.kept[event.id] = keeps

    def finish(self, results: Sequence[Result]) -> None:
        for result in results:
            number = result.event.id
            self._state.results[number] = result
            self._state.waits[number] = result.waits
            self._state.due.pop(number, None)
            if result.due_at is not None:
                self._state.due[number] = result.due_at
            waiting = result.event.waiting_since or self.now
            self._state.events[number] = replace(
                result.event,
                attempts=result.attempts,
                waiting_since=waiting if result.state is State.WAITING else None,
                is_first_try=False,
            )

    def commit(self) -> None:
        self._memory.state = self._state

    # -- directory ---------------------------------------------------------------------

    def lock_owners(self, accounts: Collection[str]) -> None:
        del accounts

    def lock_names(self, accounts: Collection[str], *, is_shared: bool) -> None:
        del accounts, is_shared

    def lock_groups(
        self,
        shared: Mapping[str, Group],
        exclusive: Mapping[str, Group],
        accounts: Mapping[str, str],
    ) -> dict[str, Group]:
        del accounts
        for key, group in {**shared, **exclusive}.items():
            self._state.groups.setdefault(key, group)
        return {key: self._state.groups[key] for key in {**shared, **exclusive}}

    def own_groups(
        self, ids: Collection[str], names: Collection[tuple[str, str]]
    ) -> list[OwnGroup]:
        return [
            own
            for own in self._state.own.values()
            if own.id in ids or (not own.is_managed and (own.account, name_key(own.name)) in names)
        ]

    def lock_users(
        self, missing: Mapping[str, User], accounts: Mapping[str, str]
    ) -> dict[str, User]:
        del accounts
        for key, user in missing.items():
            self._state.users.setdefault(key, user)
        return {key: self._state.users[key] for key in missing}

    def buried(self, connections: Collection[str], users: Collection[str]) -> dict[str, Stamp]:
        del connections
        return {key: self._state.buried[key] for key in users if key in self._state.buried}

    def try_users(self, ids: Collection[str]) -> dict[str, User]:
        return {key: self._state.users[key] for key in ids if key in self._state.users}

    def lock_addresses(self, ids: Collection[str]) -> dict[str, str | None]:
        return {key: self._state.addresses.setdefault(key, None) for key in ids}

    def holders(self, ids: Collection[str]) -> dict[str, str]:
        held = {key: self._state.addresses.get(key) for key in ids}
        return {key: person for key, person in held.items() if person is not None}

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        return {key: self._state.people[key] for key in ids if key in self._state.people}

    def keepers(self, accounts: Collection[str], touched: Collection[str] = ()) -> list[Keeper]:
        del accounts, touched
        return [
            Keeper(p.id, p.account, p.role, p.state, p.is_break_glass)
            for p in self._state.people.values()
            if p.role is Role.OWNER or p.is_break_glass
        ]

    def edges(self, ids: Collection[str]) -> dict[str, Edge]:
        return {key: self._state.edges[key] for key in ids if key in self._state.edges}

    def edges_of(self, group: Group) -> list[Edge]:
        return [
            e
            for e in self._state.edges.values()
            if (e.connection, e.group) == (group.connection, group.key)
        ]

    def edges_of_users(self, users: Collection[str]) -> list[Edge]:
        return [e for e in self._state.edges.values() if f"{e.connection}:{e.user}" in users]

    def groups(self, ids: Collection[str]) -> dict[str, Group]:
        return {key: self._state.groups[key] for key in ids if key in self._state.groups}

    def by_hand(self, groups: Collection[str]) -> dict[str, frozenset[str]]:
        return dict.fromkeys(groups, frozenset())

    def take_turns(self, *, alone: Collection[str], beside: Collection[str]) -> None:
        del alone, beside

    def linked(self, users: Collection[str]) -> dict[str, str | None]:
        known = self._state.users
        return {key: known[key].person for key in users if key in known}

    def save(self, writes: Writes) -> None:
        self._state.users.update(writes.users)
        self._state.people.update(writes.people)
        self._state.groups.update(writes.groups)
        self._state.own.update(writes.own)
        self._state.edges.update(
            {edge_id(e.connection, e.group, e.user): e for e in writes.edges.values()}
        )
        for key, person in writes.addresses.items():
            if person is None:
                self._state.addresses.pop(key, None)
            else:
                self._state.addresses[key] = person
        self.breaker.save(writes.breaker)
        self._state.access.extend(writes.access)

    def wake(self, keys: Collection[str]) -> None:
        stirred = set(keys)
        for number, waits in self._state.waits.items():
            if stirred.intersection(waits) and self._state.results[number].state is State.WAITING:
                self._state.due[number] = self.now


class MemoryBreakers:
    """`BreakerStore` over the same state."""

    def __init__(self, state: Stored, now: datetime) -> None:
        self._state = state
        self._now = now

    def lock(
        self, rules: Mapping[str, BreakerRule], keys: Mapping[str, Collection[str]]
    ) -> dict[str, Window]:
        return {
            connection: self._window(connection, rule, keys.get(connection, ()))
            for connection, rule in rules.items()
        }

    def _window(self, connection: str, rule: BreakerRule, keys: Collection[str]) -> Window:
        since = self._now - rule.window
        count = sum(1 for (c, _), at in self._state.marks.items() if c == connection and at > since)
        people = self._state.people.values()
        here = sum(1 for p in people if p.connection == connection and not p.is_suspended)
        counted = frozenset(self.counted(connection, keys, rule.window))
        hold = self._state.holds.get(connection)
        return Window(count, here + count, rule.limit(here + count), counted, hold)

    def counted(self, connection: str, keys: Collection[str], since: timedelta) -> set[str]:
        known = {
            k
            for (c, k), at in self._state.marks.items()
            if c == connection and at > self._now - since
        }
        return known & set(keys)

    def save(self, writes: BreakerWrites) -> None:
        self._state.marks.update(dict.fromkeys(writes.marks, self._now))
        self._state.holds.update({hold.connection: hold.id for hold in writes.opened})
        self._state.held.update(dict(writes.held))


class MemorySource:
    """A source whose documents are event numbers of a `Memory`."""

    has_static_secret = False
    tells_tenant = False

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def read(self, body: bytes) -> object:
        return int(body)

    def parse(self, document: object, index: int) -> Parsed:
        del index
        assert isinstance(document, int)
        return Parsed(self._memory.state.changes[document])
