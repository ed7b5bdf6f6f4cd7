"""The directory as values: what the IdP said (facts) and what became of it (people, groups)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from domain.values import BEGINNING, Stamp


class PersonState(StrEnum):
    """Full state of a person (U10). `withdrawn` is a successor whose reason vanished (D3)."""

    INVITED = "invited"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    INVITED_SUSPENDED = "invited_suspended"
    WITHDRAWN = "withdrawn"


class Override(StrEnum):
    """What an operator wants of a person for a while, whatever the IdP says (U9)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Role(StrEnum):
    """What a person may do in the account."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    MEMBER = "member"
    GUEST = "guest"


class Word(NamedTuple):
    """One thing a feed said: an address, `active` or a scope, in the order of its stamp."""

    stamp: Stamp
    by: str
    value: str | bool


class Mark(NamedTuple):
    """An address that the person proved to hold, bound to the fact that asked for it (D3)."""

    stamp: Stamp
    address: str


Register = tuple[Stamp, str | None]


@dataclass(frozen=True, slots=True)
class UserFacts:
    """All that the IdP said of one subject, folded so that no order of arrival matters (D1).

    profile: attribute -> newest assertion. The three histories are sorted by stamp; `scopes`
    carries a word per group or application that the connection's scope names, and the word
    "guest" (S2). floor: of a subject whose person was deleted for good; what is not newer is
    superseded unread (U5), a decision.
    """

    is_described: bool = False
    profile: Mapping[str, Register] = field(default_factory=dict)
    emails: tuple[Word, ...] = ()
    actives: tuple[Word, ...] = ()
    scopes: tuple[Word, ...] = ()
    floor: Stamp = BEGINNING


@dataclass(frozen=True, slots=True)
class Pinned:
    """The newest person of a subject who accepted: a decision that facts no longer undo (D3).

    key: stamp of the reactivation that made the person, or the beginning. promised: an address
    that they proved while somebody else still has it; it is in force once their ring moves (E8).
    """

    person: str
    key: Stamp = BEGINNING
    marks: tuple[Mark, ...] = ()
    promised: Mark | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A subject: one external id of one connection, and the person it is linked to now."""

    connection: str
    key: str
    facts: UserFacts = field(default_factory=UserFacts)
    person: str | None = None
    pinned: Pinned | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the account's directory.

    email: the address in force. requested: what the IdP last asked for. pending: a claimed
    address that waits for the member's yes (E2). connection: who governs the person now;
    governed_by: who did last, kept when management ends. claim: stamp of the subject's newest
    claim to the address (D4). has_address: False once a rehired namesake took it over.
    override: what an operator wants meanwhile; told: the state without it (U9).
    """

    id: str
    account: str
    email: str
    requested: str
    state: PersonState
    pending: str | None = None
    connection: str | None = None
    user: str | None = None
    governed_by: str | None = None
    claim: Stamp = BEGINNING
    is_accepted: bool = False
    has_address: bool = True
    profile: Mapping[str, str] = field(default_factory=dict)
    role: Role = Role.MEMBER
    is_break_glass: bool = False
    override: Override | None = None
    told: PersonState | None = None

    @property
    def is_suspended(self) -> bool:
        """Out, whether or not the invitation was ever accepted."""
        return self.state in (PersonState.SUSPENDED, PersonState.INVITED_SUSPENDED)

    @property
    def is_managed(self) -> bool:
        """Governed by a connection at the moment."""
        return self.connection is not None


@dataclass(frozen=True, slots=True)
class Group:
    """A group of one connection.

    floor: edge facts older than this are superseded unread. cleared: memberships not newer
    than this ended with a deletion (D13). own: id of the account's own group that it stands for
    (G2). barred: why no provider may touch it (G3), a decision.
    """

    connection: str
    key: str
    name: Register = (BEGINNING, None)
    exists: tuple[Stamp, bool] = (BEGINNING, False)
    floor: Stamp = BEGINNING
    cleared: Stamp = BEGINNING
    is_kept: bool = True
    own: str | None = None
    barred: str | None = None

    @property
    def is_seen(self) -> bool:
        """Described by the IdP, not deleted, kept by the connection's setting, and not barred."""
        return self.exists[1] and self.is_kept and self.barred is None

    @property
    def is_deleted(self) -> bool:
        """The newest word on the group is that it is gone."""
        return not self.exists[1] and self.exists[0] > BEGINNING


@dataclass(frozen=True, slots=True)
class Edge:
    """One membership of one connection: the newest word on it (G7)."""

    connection: str
    group: str
    user: str
    stamp: Stamp
    is_member: bool
