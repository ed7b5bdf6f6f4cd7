"""What the use cases need from the outside; adapters implement it, fakes stand in for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from domain.access import AccessTurn
from domain.announcements import Announcement
from domain.breaker import BreakerStore, BreakerWrites
from domain.changes import Change
from domain.decision import Made
from domain.hydration import Answers, Wanted
from domain.inbox import Kind, Outcome, Reason, State
from domain.model import Edge, Group, Person, User
from domain.own_groups import OwnGroup
from domain.policy import Policy
from domain.protection import Keeper
from domain.signals import Signal
from domain.values import Stamp, to_micros


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it came: header names in lower case, raw body."""

    method: str
    headers: Mapping[str, str]
    body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a source wants to hear back: status, content type, body."""

    status: int
    media_type: str = "text/plain"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One live secret of a feed; several overlap during a rotation.

    value: a shared secret, or whom to trust, as the source wrote it. keys: the public keys of
    whoever is trusted, as far as they are known to this process.
    """

    id: str
    value: str = field(repr=False)
    keys: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SplitEvent:
    """One event inside a delivery, as far as a peek tells (D9, D10).

    id: the source's own event id. content: bytes that are equal when the event is the same,
    to tell a duplicate from a conflict. occurred_at: aware, or None if the source says none.
    subject: external id of whom it is about, "" if unknown. type: the source's own word.
    """

    id: str
    kind: Kind
    type: str
    content: bytes
    occurred_at: datetime | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an event asks for: changes, or the reason why it asks for nothing.

    wants: what has to be read at the IdP first, where rosterd has access to its directory.
    keeps: what its source wants remembered once it is applied (`DrainWork.keep`).
    whose: the address of the person whom the changes are about, where the source tells no id of
    theirs: then `user` is "" in each. signal: what the application is told all the same. tenants:
    ids of the customer whom the event concerns, where the sender speaks for several.
    """

    changes: tuple[Change, ...] = ()
    ignored: Reason | None = None
    keeps: Mapping[str, Any] | None = None
    whose: str = ""
    signal: Signal | None = None
    tenants: frozenset[str] = field(default=frozenset(), compare=False)
    wants: Wanted | None = field(default=None, compare=False)


class NotAuthenticError(Exception):
    """The request does not prove whom it comes from.

    reason: `missing`, `wrong` or `stale` (a good signature of another time). why: more about it,
    in the words in which the source's senders want to hear it, or "".
    """

    def __init__(self, reason: str, why: str = "") -> None:
        super().__init__(f"request is not authentic: {reason}")
        self.reason = reason
        self.why = why


class KeysNeededError(Exception):
    """The proof needs public keys that are not known, or not yet: they are to be read from url."""

    def __init__(self, url: str) -> None:
        super().__init__(f"public keys of {url} are needed")
        self.url = url


class UnparseableError(Exception):
    """An authentic body that cannot be understood; place says where ("data.email").

    wants: what may be read at the IdP instead.
    """

    def __init__(self, place: str, why: str, wants: Wanted | None = None) -> None:
        super().__init__(f"{why} at {place}" if place else why)
        self.wants = wants
        self.place = place
        self.why = why


class Source(Protocol):
    """One kind of interface that identity providers speak (PRODUCT.md, Words).

    Shapes: `read` gives the decoded document; `split` one SplitEvent per event in it, in
    order; `parse` what the event at that index asks for. Both raise UnparseableError: what cannot
    be split is stored as one event of kind `events.sort`. addresses: attributes that may be the
    address besides the source's own (`domain.addressing`). tells_tenant: see setting `tenant`.
    """

    name: str
    success_status: int
    max_body_bytes: int
    has_static_secret: bool
    needs_scope: bool
    tells_tenant: bool
    addresses: tuple[str, ...]
    kept_headers: tuple[str, ...]

    def handshake(self, request: Request) -> Reply | None:
        """The answer to a registration request that carries no events, or None."""
        ...

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The secret it proves to know; raises NotAuthenticError, KeysNeededError (none yet)."""
        ...

    def refusal(self, error: NotAuthenticError) -> Reply | None:
        """What this source's senders want to hear instead of a plain 401, or None."""
        ...

    def content(self, request: Request) -> bytes:
        """What a proven request says: its body, with what only its headers tell; never raises."""
        ...

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """What of a proven body is stored, and whether anything secret was cut; never raises."""
        ...

    def event_id(self, request: Request) -> str | None:
        """The delivery's own id where the source sends one, for bodies that cannot be split."""
        ...

    def read(self, body: bytes) -> object:
        """The decoded document; raises UnparseableError."""
        ...

    def split(self, document: object, request: Request) -> list[SplitEvent]:
        """The events of a delivery; raises UnparseableError."""
        ...

    def parse(self, document: object, index: int) -> Parsed:
        """What the event at this index of the delivery asks for; raises UnparseableError."""
        ...

    def new_secret(self) -> str:
        """A fresh secret in the form that this source's senders use."""
        ...

    def credential(self, secret: str | None, trust: Mapping[str, str]) -> str:
        """What is stored to prove a sender by: its own secret, or a fresh one for None.

        trust: what an operator tells of the sender's public keys. Raises UsageError.
        """
        ...


class Clock(Protocol):
    """The only way to the time outside the database."""

    def now(self) -> datetime:
        """The aware UTC moment."""
        ...


class Ringer(Protocol):
    """Wakes workers, best effort; carries no authority (D11)."""

    def ring(self, kind: Kind, lane: str, *, connection: str, event_ids: Sequence[int]) -> None:
        """Ask for a drain of this kind in this lane; never raises, never blocks long."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event under work: the row is locked until the transaction ends.

    is_replayed: an operator let it go, by a replay or out of a hold; the breaker counts it no
    more. is_in_replay: by a replay.
    """

    id: int
    account: str
    connection: str
    feed: str
    delivery: int
    ordinal: int
    key: str
    type: str
    kind: Kind
    lane: str
    occurred_at: datetime
    received_at: datetime
    attempts: int
    crashes: int
    waiting_since: datetime | None
    is_first_try: bool
    is_replayed: bool = False
    is_in_replay: bool = False

    @property
    def stamp(self) -> Stamp:
        """The order of what this event says (D2)."""
        return Stamp(to_micros(self.occurred_at), 0, self.key)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event; state says where it goes from here.

    due_at: when it is tried again. waits: keys whose change rings it. error: for the dead
    letter, with a fingerprint that groups equal causes.
    """

    event: ClaimedEvent
    state: State
    outcome: Outcome | None = None
    reason: Reason | None = None
    detail: str = ""
    due_at: datetime | None = None
    waits: tuple[str, ...] = ()
    superseded_by: str | None = None
    applied_part: str | None = None
    attempts: int = 0
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What has to follow from a change of a person: mail, links, audit."""

    event: ClaimedEvent
    before: Person | None
    after: Person


@dataclass(frozen=True, slots=True)
class AccessNote:
    """A turn of who has access to what, with the event that made it."""

    turn: AccessTurn
    event: ClaimedEvent


@dataclass(slots=True)
class Writes:
    """All that a batch changes, by id; the store writes it sorted and in bulk.

    addresses: address id -> person id, or None to release it.
    """

    users: dict[str, User] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    addresses: dict[str, str | None] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    decisions: list[tuple[ClaimedEvent, str, Made]] = field(default_factory=list)
    breaker: BreakerWrites = field(default_factory=BreakerWrites)
    announcements: list[Announcement] = field(default_factory=list)
    access: list[AccessNote] = field(default_factory=list)
    own: dict[str, OwnGroup] = field(default_factory=dict)


class DirectoryStore(Protocol):
    """The directory inside one write transaction. Ids are those of `domain.keys`.

    Every `lock_*` creates what is missing, locks in sorted order and returns the values as
    they now are; nobody else changes them before the transaction ends (D5).
    """

    def lock_owners(self, accounts: Collection[str]) -> None:
        """Serialise with every other change of owners, if any owner is managed (D5, 1)."""
        ...

    def lock_names(self, accounts: Collection[str], *, is_shared: bool) -> None:
        """Nobody names groups of these accounts by hand meanwhile (D5, 1).

        is_shared: other batches may; only for one that cannot come to lock the accounts later.
        """
        ...

    def lock_groups(
        self,
        shared: Mapping[str, Group],
        exclusive: Mapping[str, Group],
        accounts: Mapping[str, str],
    ) -> dict[str, Group]:
        """Groups by id; the mappings give what to create where one is missing."""
        ...

    def own_groups(
        self, ids: Collection[str], names: Collection[tuple[str, str]]
    ) -> list[OwnGroup]:
        """The accounts' own groups, locked: by id, and unmanaged ones by account and name key."""
        ...

    def by_hand(self, groups: Collection[str]) -> dict[str, frozenset[str]]:
        """By id of an account's own group: ids of whom somebody added by hand."""
        ...

    def lock_users(
        self, missing: Mapping[str, User], accounts: Mapping[str, str]
    ) -> dict[str, User]:
        """Subjects by id; the mapping gives what to create where one is missing."""
        ...

    def buried(self, connections: Collection[str], users: Collection[str]) -> dict[str, Stamp]:
        """U5: of those whose person was deleted for good the stamp up to which nothing counts."""
        ...

    def try_users(self, ids: Collection[str]) -> dict[str, User]:
        """Those of the subjects that can be locked at once."""
        ...

    def lock_addresses(self, ids: Collection[str]) -> dict[str, str | None]:
        """Who holds each address; a free one is reserved until the transaction ends (D4)."""
        ...

    def holders(self, ids: Collection[str]) -> dict[str, str]:
        """Who holds each address that is held, without a lock."""
        ...

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """People by id."""
        ...

    def keepers(self, accounts: Collection[str], touched: Collection[str] = ()) -> list[Keeper]:
        """Who keeps these accounts open: their owners and break-glass people (U6).

        touched: people whom the batch may change; an account whose owner is among them is
        serialised with every other change of its owners.
        """
        ...

    def edges(self, ids: Collection[str]) -> dict[str, Edge]:
        """Memberships by id."""
        ...

    def edges_of(self, group: Group) -> list[Edge]:
        """All membership words of a group."""
        ...

    def edges_of_users(self, users: Collection[str]) -> list[Edge]:
        """All membership words on these subjects."""
        ...

    def groups(self, ids: Collection[str]) -> dict[str, Group]:
        """Groups by id, unlocked."""
        ...

    def take_turns(self, *, alone: Collection[str], beside: Collection[str]) -> None:
        """Wait for batches of these accounts that announce memberships, until this one commits.

        alone: no other at all; beside: none that goes alone. What is read afterwards has whatever
        they committed. After all other locks but those of breakers and numbers (D5).
        """
        ...

    def linked(self, users: Collection[str]) -> dict[str, str | None]:
        """Id of the person of each of these subjects, unlocked; unknown subjects are absent."""
        ...

    def save(self, writes: Writes) -> None:
        """Write everything of the batch, sorted by key."""
        ...

    def wake(self, keys: Collection[str]) -> None:
        """Make due what waits for one of the keys (D1); written by `save` at the latest."""
        ...


class DrainWork(Protocol):
    """One write transaction of a drain; it rolls back unless committed (G3)."""

    now: datetime
    directory: DirectoryStore
    breaker: BreakerStore
    reads: Answers
    has_announced: bool
    has_urgent_news: bool

    def claim(
        self, *, lane: str, kind: Kind, limit: int, troubled: bool, is_guest: bool = False
    ) -> list[ClaimedEvent]:
        """Lock up to `limit` due events, connections in fair turns (D7).

        troubled: only events that failed or were in a crashed batch, instead of only clean ones.
        is_guest: a worker of another lane, who leaves alone what somebody is at work on.
        """
        ...

    def retake(self, ids: Sequence[int]) -> list[ClaimedEvent]:
        """Lock chosen open events again, for a bisection (D8)."""
        ...

    def reopen(self, ids: Sequence[int]) -> None:
        """Make ended or dead events due, for a dry run that is rolled back."""
        ...

    def bodies(self, events: Sequence[ClaimedEvent]) -> dict[int, bytes]:
        """Body by delivery id."""
        ...

    def policies(self, events: Sequence[ClaimedEvent]) -> dict[str, Policy]:
        """Policy by connection id; sources and bodies may be found with it."""
        ...

    def sources(self, events: Sequence[ClaimedEvent]) -> dict[str, str]:
        """Name of the source by feed id."""
        ...

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """Lock and read what these changes, each with its connection, name: others will ask."""
        ...

    def renamed(self, connection: str, keys: Collection[str]) -> dict[str, str]:
        """Subject keys by external ids that subjects of the connection were given later (D13)."""
        ...

    def keep(self, event: ClaimedEvent, keeps: Mapping[str, Any]) -> None:
        """Remember what an event's source wants remembered; before `save`."""
        ...

    def save(self, writes: Writes) -> None:
        """Write the directory and what follows: links, mails, audit, decisions, announcements.

        From here on nothing is read before the commit: statements are sent ahead.
        """
        ...

    def finish(self, results: Sequence[Result]) -> None:
        """Write what became of the events."""
        ...

    def commit(self) -> None:
        """Make it last, the batch marker gone with it."""
        ...


class InfrastructureError(Exception):
    """The database or the broker failed, not the event: no attempt is used up (RELIABILITY F23).

    is_conflict: two transactions met (40001, 40P01), and this one is undone. is_lost: the
    connection went away in the middle. is_slow: a statement took longer than it may.
    """

    def __init__(
        self, what: str, *, is_conflict: bool = False, is_lost: bool = False, is_slow: bool = False
    ) -> None:
        super().__init__(what)
        self.is_conflict = is_conflict
        self.is_lost = is_lost
        self.is_slow = is_slow

    @property
    def is_passing(self) -> bool:
        """Whether the same transaction, made again at once, may well succeed (F24)."""
        return self.is_conflict or self.is_lost
