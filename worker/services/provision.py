"""Provision: one SCIM write, applied and answered in one transaction (D2, D13).

The same decisions as a drain's, over one event that is stored with its outcome. What a rule
refuses is stored, too, as a dead letter; the resource stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from domain.addressing import readdressed
from domain.breaker import BreakerStore
from domain.changes import (
    AddMember,
    Change,
    EdgeChange,
    ProvisionUser,
    RemoveMember,
    ReplaceMembers,
    SuspendUser,
    UpdateProfile,
    UserChange,
    kind_of,
)
from domain.erasure import newest
from domain.inbox import Kind, Outcome, Reason, State
from domain.keys import edge_id, group_id, user_id
from domain.model import Person
from domain.policy import Policy
from domain.ports import (
    ClaimedEvent,
    DirectoryStore,
    Result,
    UnparseableError,
    Writes,
)
from domain.resources import (
    Answer,
    Ask,
    Composed,
    Document,
    Refusal,
    Resource,
    ResourceKind,
    Speaker,
)
from domain.retry import again
from domain.values import BEGINNING, Stamp, from_micros, to_micros
from worker.services.announced import announced, remember
from worker.services.apply import apply_batch
from worker.services.breaking import Gate
from worker.services.world import Work, World, load

OBSERVING = "observing"


class Names(Protocol):
    """What a document is looked up by; the protocol's to say."""

    def handle(self, kind: ResourceKind, document: Document) -> str:
        """Lower-cased userName or displayName."""
        ...

    def alias(self, document: Document) -> str | None:
        """externalId, if it was told."""
        ...


class ProvisionWork(Protocol):
    """One write transaction; it rolls back unless committed. Resources are locked before all else.

    `reserve` makes whoever wants the same names wait.
    """

    now: datetime
    directory: DirectoryStore
    breaker: BreakerStore
    has_announced: bool

    def policy(self, connection: str) -> Policy:
        """The policy of the connection."""
        ...

    def locked(self, speaker: Speaker, kind: ResourceKind, id_: str) -> Resource | None:
        """The live resource of the speaker's connection, locked."""
        ...

    def reserve(self, speaker: Speaker, kind: ResourceKind, names: Collection[str]) -> None:
        """Wait for whoever claims one of the names, until the transaction ends."""
        ...

    def named(
        self, speaker: Speaker, kind: ResourceKind, handle: str, alias: str | None
    ) -> list[Resource]:
        """Resources with the handle, or with the alias as alias or key; deleted ones, too."""
        ...

    def keys(self, speaker: Speaker, ids: Collection[str]) -> dict[str, str]:
        """Subject keys of live users by SCIM id."""
        ...

    def event(self, ask: Ask, *, kind: Kind, subject: str) -> ClaimedEvent:
        """A fresh event of the request, numbered, not stored yet."""
        ...

    def save(self, writes: Writes) -> None:
        """Write the directory and what follows. From here on nothing is read."""
        ...

    def put(self, before: Resource | None, after: Resource) -> None:
        """Write a resource with what it is found by."""
        ...

    def record(
        self,
        ask: Ask,
        result: Result,
        changes: Sequence[Change],
        *,
        before: Resource | None,
        after: Resource,
        is_kept: bool,
        hold: str | None,
    ) -> None:
        """Store the delivery and its event with what became of it.

        is_kept: False where the resource stays as it was, for now. hold: the breaker's (C6).
        """
        ...

    def former(self, result: Result, changes: Sequence[Change]) -> int | None:
        """The newest event of the subject, if it asked for the same and came to the same."""
        ...

    def repeat(self, number: int, result: Result) -> None:
        """Note with that event that the same was asked once more."""
        ...

    def commit(self) -> None:
        """Make it last."""
        ...


@dataclass(frozen=True, slots=True)
class Provision:
    """The use case. works: opens a unit of work. after: hears what was committed."""

    works: Callable[[], AbstractContextManager[ProvisionWork]]
    names: Names
    new_person: Callable[[], str]
    new_resource: Callable[[], str]
    new_hold: Callable[[], str]
    random: Callable[[], float]
    sleep: Callable[[float], None]
    report: Callable[[str, Mapping[str, object]], None]
    after: Callable[[ProvisionWork, Result], None]

    def write(self, ask: Ask) -> Answer:
        """Apply and store one request; raises what its `compose` raises, InfrastructureError.

        Made again where it met another transaction; a write is never done twice, because what
        was committed is found as it is by the second try only if the answer to the first was lost.
        """

        def unit() -> Answer:
            with self.works() as work:
                return _Writing(self, work, ask).run()

        return again(unit, random=self.random, sleep=self.sleep, report=self.report)


@dataclass(slots=True)
class _Writing:
    """One request inside its transaction."""

    use: Provision
    work: ProvisionWork
    ask: Ask

    def run(self) -> Answer:
        ask = self.ask
        if ask.resource is None:
            return self._create()
        before = self.work.locked(ask.speaker, ask.kind, ask.resource)
        if before is None:
            return Answer(refused=Refusal.NOT_FOUND)
        if ask.versions is not None and not self._is_version(before):
            return Answer(resource=before, refused=Refusal.CHANGED)
        composed = ask.compose(before)
        if composed.document is not None:
            names = self.use.names
            handle = names.handle(ask.kind, composed.document)
            alias = names.alias(composed.document)
            taken = self._taken(before, handle, alias)
            if taken is not None:
                return Answer(refused=taken)
        return self._apply(before, composed, key=before.key)

    def _is_version(self, before: Resource) -> bool:
        versions = self.ask.versions or frozenset()
        return "*" in versions or str(before.version) in versions

    def _create(self) -> Answer:
        """POST: a new resource, one that only other feeds told of, or a return (D13)."""
        ask = self.ask
        composed = ask.compose(None)
        document = composed.document or {}
        handle = self.use.names.handle(ask.kind, document)
        alias = self.use.names.alias(document)
        self.work.reserve(ask.speaker, ask.kind, [handle, *([alias] if alias else [])])
        found = self.work.named(ask.speaker, ask.kind, handle, alias)
        live = [one for one in found if one.deleted_at is None]
        if any(one.is_told for one in live):
            return Answer(refused=Refusal.TAKEN)
        if live:
            locked = self.work.locked(ask.speaker, ask.kind, live[0].id)
            if locked is None or locked.is_told:
                return Answer(refused=Refusal.TAKEN)
            return self._apply(locked, composed, key=locked.key)
        id_ = self.use.new_resource()
        return self._apply(None, composed, key=_former_key(found, alias) or alias or id_, id_=id_)

    def _taken(self, before: Resource, handle: str, alias: str | None) -> Refusal | None:
        """Whether another resource has the name that this one is to have."""
        new = [
            name
            for name, had in ((handle, before.handle), (alias, before.alias))
            if name is not None and name != had
        ]
        if not new:
            return None
        ask = self.ask
        self.work.reserve(ask.speaker, ask.kind, new)
        others = [
            one
            for one in self.work.named(ask.speaker, ask.kind, handle, alias)
            if one.deleted_at is None and one.id != before.id
        ]
        return Refusal.TAKEN if others else None

    # -- applying ----------------------------------------------------------------------

    def _apply(
        self, before: Resource | None, composed: Composed, *, key: str, id_: str = ""
    ) -> Answer:
        ask, work = self.ask, self.work
        members = self._members(composed)
        changes = (*composed.changes(key), *_edges(key, composed, members))
        event = work.event(ask, kind=_kind(ask, changes), subject=key)
        after = self._after(before, composed, key=key, id_=id_)
        if ask.speaker.state == OBSERVING:
            held = Result(event, State.HELD, None, Reason.OBSERVING)
            return self._stored(before, after, held, changes)
        policy = work.policy(ask.speaker.connection)
        try:
            wanted = readdressed(tuple(changes), policy.address)
        except UnparseableError as error:
            detail = f"{error.place}: {error.why}"
            refused = Result(event, State.DEAD, Outcome.DEAD, Reason.NO_ADDRESS, detail)
            return self._stored(before, after, refused, changes)
        if not wanted:
            person = self._person(key)
            if person is not None or ask.kind is not ResourceKind.USER or after.deleted_at:
                return self._stored(before, after, _unchanged(event), changes, person=person)
        asked = Work(event, wanted, policy, _undoes(ask.kind, is_new=before is None))
        return self._decide(asked, before, after, changes, key)

    def _decide(
        self,
        asked: Work,
        before: Resource | None,
        after: Resource,
        changes: Sequence[Change],
        key: str,
    ) -> Answer:
        use, work = self.use, self.work
        asks_nothing = not asked.changes
        if asks_nothing:
            # Of somebody who waits for an address, it is asked whether it may be had by now.
            asked = replace(asked, changes=tuple(self.ask.describe(after.document, key)))
        world = load(work.directory, [asked])
        if asks_nothing and world.users[user_id(asked.policy.connection, key)].facts.is_described:
            return self._stored(before, after, _unchanged(asked.event), changes)
        asked = replace(
            asked, event=_stamped(world, asked), changes=self._fitting(world, asked, after)
        )
        former = remember(world, [asked])
        gate = Gate(work.breaker, [asked], use.new_hold, world.writes.breaker)
        (result,) = apply_batch(world, [asked], now=work.now, new_id=use.new_person, gate=gate)
        if result.state is State.WAITING and result.due_at is not None and not result.waits:
            return Answer(refused=Refusal.BUSY)
        work.directory.wake(world.touched.keys())
        world.writes.announcements = announced(world, former)
        person = _person_of(world, user_id(asked.policy.connection, key))
        return self._stored(before, after, result, changes, person=person, writes=world.writes)

    def _fitting(self, world: World, asked: Work, after: Resource) -> tuple[Change, ...]:
        """Who has no address yet is known, but nobody: there is nobody to mail (E9).

        With the first address comes all that was told before it. An address that is not the login
        and that no allowed domain has is none yet (E4): a login may be a name of any sort.
        """
        policy = asked.policy
        user = world.users.get(user_id(policy.connection, after.key))
        if user is None or user.facts.is_described or after.deleted_at is not None:
            return asked.changes
        login = self.use.names.handle(ResourceKind.USER, after.document)
        told = readdressed(tuple(self.ask.describe(after.document, after.key)), policy.address)
        return tuple(part for change in told for part in _known(_invitable(change, login, policy)))

    def _person(self, key: str) -> Person | None:
        subject = user_id(self.ask.speaker.connection, key)
        linked = self.work.directory.linked([subject]).get(subject)
        return self.work.directory.people([linked])[linked] if linked is not None else None

    def _stored(
        self,
        before: Resource | None,
        after: Resource,
        result: Result,
        changes: Sequence[Change],
        *,
        person: Person | None = None,
        writes: Writes | None = None,
    ) -> Answer:
        """Write the resource unless the event was refused, and the event; commit."""
        work, number = self.work, result.event.id
        is_kept = _is_kept(result, before)
        # Providers send what was refused again and again, for days: one event, many attempts.
        former = None if is_kept else work.former(result, changes)
        if writes is not None:
            work.save(writes)
        if former is not None:
            work.repeat(former, result)
            number = former
        else:
            hold = _hold_of(result, writes)
            work.record(
                self.ask, result, changes, before=before, after=after, is_kept=is_kept, hold=hold
            )
        if is_kept:
            work.put(before, after)
        work.commit()
        self.use.after(work, result)
        return Answer(
            resource=after if is_kept else before,
            refused=None if is_kept else result.reason,
            detail=result.detail,
            event=number,
            is_new=before is None,
            is_held=result.state is State.HELD,
            person=person,
        )

    def _after(
        self, before: Resource | None, composed: Composed, *, key: str, id_: str
    ) -> Resource:
        ask, now, names = self.ask, self.work.now, self.use.names
        if composed.document is None and before is not None:
            return replace(before, deleted_at=now, modified_at=now, version=before.version + 1)
        document = composed.document or {}
        handle, alias = names.handle(ask.kind, document), names.alias(document)
        if before is None:
            speaker = ask.speaker
            return Resource(
                id_, speaker.account, speaker.connection, ask.kind, key, alias, handle, document,
                1, True, now, now,
            )  # fmt: skip
        is_same = before.is_told and document == before.document and not composed.speaks_of_members
        if is_same:
            return before
        return replace(
            before,
            alias=alias,
            handle=handle,
            document=document,
            version=before.version + 1,
            is_told=True,
            modified_at=now,
        )

    def _members(self, composed: Composed) -> dict[str, str]:
        """Subject keys by SCIM id of all that are named.

        Whom nobody of this connection has told of yet is kept by the word that was said: the
        membership waits (G7), the same for another account's id as for any.
        """
        named = {*composed.added, *composed.removed, *(composed.members or ())}
        known = self.work.keys(self.ask.speaker, named) if named else {}
        return {one: known.get(one, one) for one in named}


def _former_key(found: Sequence[Resource], alias: str | None) -> str | None:
    """D13: the subject of a deleted resource that a creation means: by externalId, else by name."""
    gone = sorted(found, key=lambda one: one.modified_at, reverse=True)
    named = [one for one in gone if alias is not None and alias in (one.alias, one.key)]
    if not named:
        named = [one for one in gone if alias is None or one.alias is None]
    return named[0].key if named else None


def _edges(key: str, composed: Composed, members: Mapping[str, str]) -> Sequence[Change]:
    """What is asked of memberships; removals first."""
    if composed.members is not None:
        return (ReplaceMembers(key, tuple(members[one] for one in composed.members)),)
    gone = (RemoveMember(key, members[one]) for one in composed.removed)
    return (*gone, *(AddMember(key, members[one]) for one in composed.added))


def _kind(ask: Ask, changes: Sequence[Change]) -> Kind:
    if changes:
        return kind_of(changes)
    return Kind.USERS_UPDATE if ask.kind is ResourceKind.USER else Kind.GROUPS_UPSERT


def _undoes(kind: ResourceKind, *, is_new: bool) -> frozenset[Reason]:
    """What is refused at once, where an event of the inbox would wait or end as ignored."""
    if not is_new:
        return frozenset({Reason.ADDRESS_TAKEN})
    ignored = Reason.GUEST if kind is ResourceKind.USER else Reason.OUT_OF_SCOPE
    return frozenset({Reason.ADDRESS_TAKEN, ignored})


def _is_kept(result: Result, before: Resource | None) -> bool:
    """Whether the resource becomes what was asked for.

    Not while the breaker holds it; a creation that is ignored was undone, an ignored change is
    kept (D1).
    """
    if result.state is State.HELD:
        return result.reason is Reason.OBSERVING
    if before is None and result.outcome is Outcome.IGNORED:
        return result.reason not in (Reason.GUEST, Reason.OUT_OF_SCOPE) or _is_of_scope(result)
    return result.state is not State.DEAD


def _hold_of(result: Result, writes: Writes | None) -> str | None:
    held = writes.breaker.held if writes is not None else ()
    return next((hold for event, hold in held if event == result.event.id), None)


def _is_of_scope(result: Result) -> bool:
    """Somebody who may come into scope by a membership later has to be known for that (S1)."""
    return result.reason is Reason.OUT_OF_SCOPE and result.event.kind is not Kind.GROUPS_UPSERT


def _invitable(change: Change, login: str, policy: Policy) -> Change:
    """A description without its address, where that is neither the login nor allowed."""
    if not isinstance(change, ProvisionUser) or change.email.lower() == login:
        return change
    return change if policy.allows(change.email) else replace(change, email="")


def _unchanged(event: ClaimedEvent) -> Result:
    return Result(event, State.ENDED, Outcome.UNCHANGED)


def _known(change: Change) -> tuple[Change, ...]:
    """A description without an address, as what is known of somebody."""
    if not isinstance(change, ProvisionUser) or change.email:
        return (change,)
    known = UpdateProfile(change.user, change.profile)
    return (known, SuspendUser(change.user)) if change.active is False else (known,)


def _stamped(world: World, asked: Work) -> ClaimedEvent:
    """D2: newer than all that it touches, so that an accepted write is never old news."""
    event = asked.event
    touched = max(_stamps(world, asked), default=BEGINNING)
    at = max(to_micros(event.occurred_at), touched.at + 1)
    return replace(event, occurred_at=from_micros(at))


def _stamps(world: World, asked: Work) -> list[Stamp]:
    connection = asked.policy.connection
    found: list[Stamp] = []
    for change in asked.changes:
        if isinstance(change, UserChange | EdgeChange):
            found.append(newest(world.users[user_id(connection, change.user)].facts))
        if isinstance(change, EdgeChange):
            edge = world.edges.get(edge_id(connection, change.group, change.user))
            found += [edge.stamp] if edge is not None else []
        if not isinstance(change, UserChange):
            group = world.groups[group_id(connection, change.group)]
            found += [group.name[0], group.exists[0], group.floor, group.cleared]
        if isinstance(change, ReplaceMembers):
            found += [edge.stamp for edge in world.edges_of(group).values()]
    return found


def _person_of(world: World, subject: str) -> Person | None:
    user = world.users.get(subject)
    return world.people.get(user.person) if user is not None and user.person else None
