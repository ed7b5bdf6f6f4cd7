"""The answers of `decide`: settled, refused, waiting, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.inbox import Outcome, Reason
from domain.model import Edge, Group, Person, User
from domain.own_groups import OwnGroup
from domain.values import Stamp


@dataclass(frozen=True, slots=True)
class Made:
    """A decision for the log: made once, stored with its inputs (D1)."""

    kind: str
    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule says no; detail is for the operator."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Waits:
    """The address is taken, by somebody who may yet give it up (E8)."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Who a subject is now.

    people: every person whose value may differ. users: (connection, key) of other subjects
    that lost their person. moved: other subjects of a ring whose addresses changed hands with
    this one's (E8). waits_for: the normalised address that is still taken. is_promised: a ring
    will pass it on, once everybody in it has proven theirs.
    """

    user: User
    people: tuple[Person, ...] = ()
    users: tuple[tuple[str, str], ...] = ()
    made: tuple[Made, ...] = ()
    reason: Reason | None = None
    detail: str = ""
    moved: tuple[User, ...] = ()
    waits_for: str | None = None
    is_promised: bool = False
    has_visible_change: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What one change does. outcome None: the event waits (for `waits_for`, or to be seen).

    user, people, group, edges: values to be written where not None. users: subjects that
    lose their person. moved: other subjects of a ring (E8). is_promised: the ring passes the
    address on by itself. own: the account's group that changed with it. applied_part: what was
    applied although the rest was refused (D10).
    """

    outcome: Outcome | None
    reason: Reason | None = None
    detail: str = ""
    user: User | None = None
    people: tuple[Person, ...] = ()
    users: tuple[tuple[str, str], ...] = ()
    made: tuple[Made, ...] = ()
    moved: tuple[User, ...] = ()
    group: Group | None = None
    edges: tuple[Edge, ...] = ()
    own: OwnGroup | None = None
    waits_for: str | None = None
    is_promised: bool = False
    unseen: tuple[str, ...] = ()
    superseded_by: Stamp | None = None
    applied_part: str | None = None
    also: tuple[Decision, ...] = field(default=())
