"""A reconciliation: one run through an IdP's directory, page by page, and what may come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from domain.completeness import ListRead, doubt, page_digest
from domain.retry import RetryPolicy

#: Tries of one page before the run is given up; with waits between them some four hours.
TRIES = RetryPolicy(max_attempts=20, base=timedelta(seconds=2), cap=timedelta(minutes=15))


class Purpose(StrEnum):
    """backfill: what the IdP has is taken in; nobody is missed (S4)."""

    RECONCILE = "reconcile"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is for, by whose order, why."""

    purpose: Purpose
    applies: bool
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something of ours that the IdP did not name. thing: `user` or `group`."""

    place: int
    thing: str
    key: str


class RunState(StrEnum):
    """Where a run is. `running` ones are gone on with by whoever has the lease."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """What a run is at, in this order."""

    PEOPLE = "people"
    GROUPS = "groups"
    MEMBERS = "members"
    PROOF = "proof"
    THEIR_PEOPLE = "their_people"
    OUR_PEOPLE = "our_people"
    THEIR_GROUPS = "their_groups"
    OUR_GROUPS = "our_groups"
    THEIR_MEMBERS = "their_members"
    OUR_MEMBERS = "our_members"
    CONFIRMING = "confirming"
    APPLYING = "applying"
    CLEARING = "clearing"


_PHASES = tuple(Phase)
#: What is not looked for when a directory is only taken in.
_OF_OURS = frozenset({Phase.OUR_PEOPLE, Phase.OUR_GROUPS, Phase.OUR_MEMBERS, Phase.CONFIRMING})


@dataclass(frozen=True, slots=True)
class FirstPage:
    """What a list's first page said. keys: its `page_digest`; at: when it was true."""

    keys: str
    total: int | None
    at: datetime

    @classmethod
    def of(cls, keys: Sequence[str], total: int | None, at: datetime) -> FirstPage:
        """The first page that named these."""
        return cls(page_digest(keys), total, at)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its leaseholder has it.

    cursor: the IdP's, for the next page, or our own last key; None at the beginning of a phase.
    place: the group whose members are read. first: by list (`people`, `groups`) its first page.
    doubts: by list why it proves nothing of who is missing in it, as far as that is known.
    """

    id: str
    account: str
    connection: str
    purpose: Purpose
    applies: bool
    phase: Phase
    fence: int
    cursor: str | None = None
    place: str = ""
    failures: int = 0
    first: Mapping[str, FirstPage] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def following(self) -> Phase:
        """The phase after this one; raises IndexError after the last."""
        left = _PHASES[_PHASES.index(self.phase) + 1 :]
        skipped = set(_OF_OURS) if self.purpose is Purpose.BACKFILL else set()
        if not self.applies:
            skipped.add(Phase.APPLYING)
        return next(phase for phase in left if phase not in skipped)


def doubt_of(first: FirstPage, again: FirstPage, *, count: int, known: int) -> str:
    """Why a list that was read to its end proves nothing; "" where it is complete."""
    read = ListRead(count, first.keys, again.keys, first.total, again.total)
    return doubt(read, known=known)
