"""What SCIM speaks of: resources, who speaks, and what a request asks of one resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from domain.changes import Change
from domain.inbox import Reason
from domain.model import Person
from domain.ports import Result

Document = Mapping[str, Any]


class ResourceKind(StrEnum):
    """The two kinds, as SCIM calls them."""

    USER = "User"
    GROUP = "Group"


@dataclass(frozen=True, slots=True)
class Resource:
    """A user or group as a connection's SCIM feeds know it.

    id: SCIM's, never used twice. key: the subject's, which never changes (D13). alias: externalId
    as last told. handle: lower-cased userName or displayName. document: what SCIM last told,
    canonical names, without id, meta, members and password. is_told: False while only other feeds
    told of the subject.
    """

    id: str
    account: str
    connection: str
    kind: ResourceKind
    key: str
    alias: str | None
    handle: str
    document: Document
    version: int
    is_told: bool
    created_at: datetime
    modified_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """What a resource is found by: lower-cased userName or displayName, and externalId."""

    kind: ResourceKind
    handle: str
    alias: str | None

    def means(self, resource: Resource) -> bool:
        """Whether the resource bears one of the names; a key counts as long as it is live."""
        if resource.kind is not self.kind:
            return False
        if resource.handle == self.handle:
            return True
        if self.alias is None:
            return False
        is_key = resource.key == self.alias and resource.deleted_at is None
        return resource.alias == self.alias or is_key


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who asks: a live token, and the SCIM feed that it speaks for.

    state: the worse of the connection's and the feed's. settings: of the connection. is_scoped:
    whether it provisions some people only (S1).
    """

    token: str
    scopes: frozenset[str]
    account: str
    connection: str
    feed: str
    state: str
    settings: Mapping[str, str] = field(default_factory=dict)
    is_scoped: bool = False

    @property
    def actor(self) -> str:
        """Who the audit says it was."""
        return f"token:{self.token}"


@dataclass(frozen=True, slots=True)
class Composed:
    """A resource as a request wants it. document None: it is to go.

    changes: of the subject alone. added, removed, members: SCIM ids of a group's members; members
    is the whole list where the request gave it.
    """

    document: Document | None
    changes: Callable[[str], Sequence[Change]]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    members: tuple[str, ...] | None = None

    @property
    def speaks_of_members(self) -> bool:
        """Whether memberships are asked for at all."""
        return bool(self.added or self.removed) or self.members is not None


@dataclass(frozen=True, slots=True)
class Ask:
    """One write. resource: the SCIM id, None for a creation.

    compose: from the resource as it is (None for a creation) to what is asked; raises whatever the
    request is to be refused with. describe: all that a document asks for when it is told for the
    first time, of the subject with that key. told: the request's body without passwords, is_cut
    whether there were any, digest of the original, headers those that are kept. versions: of
    If-Match, None without one. later: of a request that is answered later, and the operation's
    place in it: that it was applied is stored with it. shows_related: whether the answer is to
    show the groups of a user, the members of a group.
    """

    speaker: Speaker
    kind: ResourceKind
    method: str
    path: str
    told: Any
    compose: Callable[[Resource | None], Composed]
    describe: Callable[[Document, str], Sequence[Change]]
    resource: str | None = None
    versions: frozenset[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    digest: bytes = b""
    is_cut: bool = False
    later: tuple[str, int] | None = None
    shows_related: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event to be stored with what became of it.

    is_kept: False where the resource stays as it was, for now. hold: the breaker's (C6).
    """

    ask: Ask
    result: Result
    changes: Sequence[Change]
    before: Resource | None
    after: Resource
    is_kept: bool
    hold: str | None


class Refusal(StrEnum):
    """Why a write was not done, beside the reasons of events."""

    NOT_FOUND = "not_found"
    CHANGED = "changed"
    TAKEN = "taken"
    PAUSED = "paused"
    BUSY = "busy"
    NESTED = "nested"


class Named(NamedTuple):
    """A resource as another one refers to it."""

    id: str
    name: str


class Members(NamedTuple):
    """Some members of a group, by the order of their keys. after: where the next begin, if any."""

    some: list[Named]
    after: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """Who a user is, or how a group is called, in the directory.

    is_described: of a user who is nobody, whether enough of them was told. groups of a user,
    members of a group: None where nobody asked for them.
    """

    person: Person | None = None
    is_described: bool = False
    name: str | None = None
    groups: tuple[Named, ...] | None = None
    members: Members | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a write. refused: why it was not done; detail: for whoever asked.

    resource: as it is now. event: number of the stored event. is_held: kept and not applied yet.
    known: what the write saw of the subject, if anything.
    """

    resource: Resource | None = None
    refused: Refusal | Reason | None = None
    detail: str = ""
    event: int | None = None
    is_new: bool = False
    is_held: bool = False
    known: Known | None = None
