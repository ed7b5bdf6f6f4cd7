"""One SCIM write on its way: what it is about, what it asks for, what came of it (D2, D13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from domain.addressing import DEFAULT, as_known, readdressed
from domain.changes import (
    AddMember,
    Change,
    EdgeChange,
    ProvisionUser,
    RemoveMember,
    ReplaceMembers,
    UserChange,
    kind_of,
)
from domain.erasure import newest
from domain.inbox import Kind, Outcome, Reason, State
from domain.keys import edge_id, group_id, user_id
from domain.policy import Policy
from domain.ports import (
    ClaimedEvent,
    Result,
    UnparseableError,
)
from domain.provisioning import Names, ProvisionWork
from domain.resources import (
    Answer,
    Ask,
    Composed,
    Known,
    Name,
    Refusal,
    Resource,
    ResourceKind,
)
from domain.values import BEGINNING, Stamp, from_micros, is_mailable, to_micros
from worker.services.world import Work, World

OBSERVING = "observing"


class Apart(Enum):
    """A request that was left out of a batch.

    ALONE: what it is about is locked, and alone it may wait. NEXT: another of the batch is about
    the same resource, or wants the same name.
    """

    ALONE = "alone"
    NEXT = "next"


#: What a request came to; an exception is what its `compose` raised.
Told = Answer | Exception | Apart


class StopError(Exception):
    """Ends the work on one request; answer: what it is told."""

    def __init__(self, answer: Answer | Apart) -> None:
        super().__init__()
        self.answer = answer


@dataclass(slots=True)
class Writing:
    """One request of a batch, as far as it has come. told: what it is answered, once that is known.

    request: what it is known by, however often it is tried; a resource that it makes has it as id.
    asked: what is to be decided; result: what was, or what needs no decision. is_nobody: the
    subject is no person so far.
    """

    names: Names
    request: str
    ask: Ask
    before: Resource | None = None
    composed: Composed | None = None
    after: Resource | None = None
    key: str = ""
    alias: str | None = None
    fresh_id: str = ""
    is_nobody: bool = False
    changes: tuple[Change, ...] = ()
    event: ClaimedEvent | None = None
    asked: Work | None = None
    result: Result | None = None
    known: Known | None = None
    is_told: bool = False
    told: Told = Apart.NEXT

    def tell(self, told: Told) -> None:
        """The end of this one."""
        self.told, self.is_told = told, True

    # -- what it is about --------------------------------------------------------------

    def compose(self, locked: Mapping[str, Resource], *, waits: bool) -> None:
        """What is asked, of the resource as it is; raises what the request is refused with."""
        ask = self.ask
        if ask.resource is not None:
            self.before = locked.get(ask.resource)
            if self.before is None or self.before.kind is not ask.kind:
                # Without waiting it may be locked: whoever asks alone waits for it.
                raise StopError(Answer(refused=Refusal.NOT_FOUND) if waits else Apart.ALONE)
            if not self._is_version(self.before):
                raise StopError(Answer(resource=self.before, refused=Refusal.CHANGED))
        self.composed = ask.compose(self.before)

    def _is_version(self, before: Resource) -> bool:
        versions = self.ask.versions
        return versions is None or "*" in versions or str(before.version) in versions

    @property
    def name(self) -> Name | None:
        """What the resource is to be found by; None for one that goes."""
        document = self.composed.document if self.composed is not None else None
        if document is None:
            return None
        names = self.names
        return Name(self.ask.kind, names.handle(self.ask.kind, document), names.alias(document))

    def new_names(self) -> list[tuple[ResourceKind, str]]:
        """Names that the resource does not have yet."""
        name = self.name
        if name is None:
            return []
        had = (self.before.handle, self.before.alias) if self.before is not None else ()
        new = [one for one in (name.handle, name.alias) if one is not None and one not in had]
        return [(name.kind, one) for one in new]

    def settle_name(self, found: Sequence[Resource]) -> None:
        """409 for a name of another; for a creation, whose subject it is (D13)."""
        name, before = self.name, self.before
        if before is not None:
            self.key, self.alias = before.key, self._kept_alias(before)
        if name is None or (before is not None and not self.new_names()):
            return
        mine = [one for one in found if name.means(one)]
        others = [one for one in mine if one.deleted_at is None and one is not before]
        if before is not None:
            others = [one for one in others if one.id != before.id]
        told = [one for one in others if one.is_told or before is not None]
        if any(one.handle == name.handle or not one.is_told for one in told):
            raise StopError(Answer(refused=Refusal.TAKEN))
        # RFC 7643, 3.1 leaves it to the client whether externalId is unique. Who told it second is
        # found by it, but bears it as no alias: for hooks it stays whose it was.
        self.alias = name.alias if not told else None
        if before is None:
            self._settle_subject([one for one in mine if one.handle == name.handle or not told])

    def _kept_alias(self, before: Resource) -> str | None:
        """As it was; none once externalId has been taken away."""
        name = self.name
        was_told = before.is_told or self.names.alias(before.document) is not None
        is_gone = was_told and name is not None and name.alias is None
        return None if is_gone else before.alias

    def _settle_subject(self, mine: Sequence[Resource]) -> None:
        """Of a creation: whom another feed told of, a leaver, or somebody new."""
        unclaimed = [one for one in mine if one.deleted_at is None and not one.is_told]
        if unclaimed:
            self.before, self.key = unclaimed[0], unclaimed[0].key
        else:
            self.fresh_id = self.request
            self.key = _former_key(mine, self.alias) or self.alias or self.fresh_id

    @property
    def former(self) -> Name | None:
        """What a leaver would be found by, who is taken for the one that a creation means."""
        name = self.name
        if not self.fresh_id or name is None or self.key in (self.fresh_id, self.alias):
            return None
        return replace(name, alias=self.key)

    def is_another(self) -> None:
        """The leaver has returned by another name: this one is somebody else."""
        self.key = self.alias or self.fresh_id

    @property
    def called(self) -> str:
        """What a creation that names no subject goes by while it is refused."""
        return self.name.handle if self.name is not None and self.key == self.fresh_id else ""

    @property
    def is_of_members_only(self) -> bool:
        """Whether it leaves the document as it is, and asks for no version of it."""
        if self.composed is None or self.before is None or self.ask.versions is not None:
            return False
        return self.composed.speaks_of_members and self.composed.document == self.before.document

    def members(self) -> set[str]:
        """SCIM ids of all members that are named."""
        composed = self.composed
        if composed is None:
            return set()
        return {*composed.added, *composed.removed, *(composed.members or ())}

    def arriving(self) -> set[str]:
        """Those of them who are to belong to the group."""
        composed = self.composed
        return {*composed.added, *(composed.members or ())} if composed is not None else set()

    # -- what is asked -----------------------------------------------------------------

    def ask_for(self, work: ProvisionWork, keys: Mapping[str, str]) -> None:
        """The changes, and the resource as it is to be."""
        composed, ask = self.composed, self.ask
        if composed is None:
            raise LookupError("nothing was composed")
        # Whom nobody of this connection has told of yet is kept by the word that was said: the
        # membership waits (G7), the same for another account's id as for any.
        named = {one: keys.get(one, one) for one in self.members()}
        self.changes = (*composed.changes(self.key), *_edges(self.key, composed, named))
        names = {"subject": self.key, "request": self.request, "called": self.called}
        event = work.event(ask, kind=_kind(ask, self.changes), **names)
        self.event, self.after = event, self._after(composed, work.now)
        if ask.speaker.state == OBSERVING:
            self.result = Result(event, State.HELD, None, Reason.OBSERVING)
            return
        policy = work.policy()
        try:
            wanted = readdressed(self.changes, policy.address)
        except UnparseableError as error:
            detail = f"{error.place}: {error.why}"
            self.result = Result(event, State.DEAD, Outcome.DEAD, Reason.NO_ADDRESS, detail)
            return
        if wanted or self.may_wait:
            waits = _may_share(policy, self.after)
            undoes = _undoes(ask.kind, is_new=self.before is None, waits=waits)
            self.asked = Work(event, wanted, policy, undoes)
        else:
            self.result = Result(event, State.ENDED, Outcome.UNCHANGED)

    @property
    def may_wait(self) -> bool:
        """Whether it may be about somebody who waits for an address, and may have one by now."""
        is_going = self.after is not None and self.after.deleted_at is not None
        return self.ask.kind is ResourceKind.USER and not is_going and self.is_nobody

    @property
    def says_nothing(self) -> bool:
        """Whether the document asks for nothing that was not told before."""
        return self.composed is not None and not self.composed.changes(self.key)

    def is_settled(self, world: World) -> bool:
        """Whether somebody who was asked for anew is described: nothing is to be decided."""
        asked = self.asked
        if asked is None or not self.is_nobody or not self.says_nothing:
            return False
        user = world.users[user_id(asked.policy.connection, self.key)]
        if not user.facts.is_described:
            return False
        self.result = Result(asked.event, State.ENDED, Outcome.UNCHANGED)
        return True

    def ask_anew(self) -> None:
        """Of somebody who waits for an address, all is asked for again (E9)."""
        asked, after = self.asked, self.after
        if asked is not None and after is not None and not asked.changes:
            told = tuple(self.ask.describe(after.document, self.key))
            self.asked = replace(asked, changes=readdressed(told, asked.policy.address))

    def _after(self, composed: Composed, now: datetime) -> Resource:
        ask, before, name = self.ask, self.before, self.name
        if name is None or composed.document is None:
            if before is None:
                raise LookupError("nothing to delete")
            return replace(before, deleted_at=now, modified_at=now, version=before.version + 1)
        document, speaker = composed.document, ask.speaker
        if before is None:
            return Resource(
                id=self.fresh_id,
                account=speaker.account,
                connection=speaker.connection,
                kind=ask.kind,
                key=self.key,
                alias=self.alias,
                handle=name.handle,
                document=document,
                version=1,
                is_told=True,
                created_at=now,
                modified_at=now,
            )
        if before.is_told and document == before.document and not composed.speaks_of_members:
            return before
        return replace(
            before,
            alias=self.alias,
            handle=name.handle,
            document=document,
            version=before.version + 1,
            is_told=True,
            modified_at=now,
        )

    # -- what came of it ---------------------------------------------------------------

    def fit(self, world: World, after: int) -> int:
        """Fit the changes and the stamp to what is known; the stamp's time, newer than `after`."""
        asked = self.asked
        if asked is None or self.after is None:
            raise LookupError("nothing is asked")
        asked = replace(asked, changes=self._fitting(world, asked, self.after))
        touched = max(_stamps(world, asked), default=BEGINNING).at
        at = max(to_micros(asked.event.occurred_at), touched + 1, after + 1)
        self.asked = replace(asked, event=replace(asked.event, occurred_at=from_micros(at)))
        return at

    def _fitting(self, world: World, asked: Work, after: Resource) -> tuple[Change, ...]:
        """Who has no address yet is known, but nobody: there is nobody to mail (E9).

        With the first address comes all that was told before it. An address that is not the login
        and that no allowed domain has is none yet (E4): a login may be a name of any sort.
        """
        policy = asked.policy
        user = world.users.get(user_id(policy.connection, after.key))
        if user is None or user.facts.is_described or after.deleted_at is not None:
            return asked.changes
        login = self.names.handle(ResourceKind.USER, after.document)
        told = readdressed(tuple(self.ask.describe(after.document, after.key)), policy.address)
        fit = (_invitable(change, login, policy) for change in told)
        return tuple(part for change in fit for part in as_known(change))

    def see(self, world: World) -> None:
        """What the write saw of its subject, so that nobody has to ask for it again."""
        connection = self.ask.speaker.connection
        if self.ask.kind is ResourceKind.GROUP:
            group = world.groups.get(group_id(connection, self.key))
            self.known = Known(name=group.name[1] if group is not None else None)
            return
        user = world.users.get(user_id(connection, self.key))
        if user is not None:
            person = world.people.get(user.person) if user.person is not None else None
            self.known = Known(person, user.facts.is_described)

    def see_related(self, known: Known) -> None:
        """What the answer shows beside the resource, read behind the commit."""
        self.known = known
        if isinstance(self.told, Answer):
            self.told = replace(self.told, known=known)

    def answer(self, number: int, *, is_kept: bool) -> Answer:
        """What the request is answered."""
        result = self.result
        if result is None:
            raise LookupError("nothing was decided")
        return Answer(
            resource=self.after if is_kept else self.before,
            refused=None if is_kept else result.reason,
            detail=result.detail,
            event=number,
            is_new=self.before is None,
            is_held=result.state is State.HELD,
            known=self.known,
        )


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


def _may_share(policy: Policy, after: Resource) -> bool:
    """E8: whether the address is one among `emails`, of somebody whose name is no address.

    Two such people may share one by right (RFC 7643, 4.1.2): the second is kept, as one who waits
    for it. An address that is claimed as a name, or by the rule for addresses, is refused at once.
    """
    return policy.address == DEFAULT and not is_mailable(after.handle)


def _undoes(kind: ResourceKind, *, is_new: bool, waits: bool) -> frozenset[Reason]:
    """What is refused at once, where an event of the inbox would wait or end as ignored."""
    taken = frozenset() if waits else frozenset({Reason.ADDRESS_TAKEN})
    if not is_new:
        return taken
    ignored = Reason.GUEST if kind is ResourceKind.USER else Reason.OUT_OF_SCOPE
    return taken | {ignored}


def _invitable(change: Change, login: str, policy: Policy) -> Change:
    """A description without its address, where that is neither the login nor allowed."""
    if not isinstance(change, ProvisionUser) or change.email.lower() == login:
        return change
    return change if policy.allows(change.email) else replace(change, email="")


def _stamps(world: World, asked: Work) -> list[Stamp]:
    """D2: stamps of all that it touches; an accepted write is newer, so never old news."""
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
