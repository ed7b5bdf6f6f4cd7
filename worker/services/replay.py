"""Replay dead letters: a frozen selection, a dry run that decides for real, a rate (G8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Protocol

from domain.errors import NothingFoundError, UsageError
from domain.inbox import Kind, Lane
from domain.ports import Effect, Result, Ringer

#: Events that one dry-run transaction decides.
PREDICTED_AT_ONCE = 200
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: by event ids, or by a filter; an empty one selects nothing (G8)."""

    ids: tuple[int, ...] = ()
    account: str | None = None
    connection: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    type: str | None = None
    detail: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def insist(self) -> None:
        """Raise UsageError unless something narrows the selection."""
        if all(not getattr(self, field.name) for field in fields(self)):
            raise UsageError("name events, or a filter such as --reason-code or --account")


@dataclass(frozen=True, slots=True)
class Started:
    """A replay under way: the frozen set."""

    id: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What would become of one event now, and what would change for whom."""

    result: Result
    effects: tuple[Effect, ...]


class ReplayStore(Protocol):
    """Dead letters and replays of the database."""

    def choose(self, selection: Selection) -> list[tuple[int, Kind]]:
        """Open dead letters with an event, oldest first."""
        ...

    def start(
        self,
        ids: Sequence[int],
        selection: Selection,
        *,
        actor: str,
        reason: str,
        interval: timedelta,
    ) -> str:
        """Make them due in the bulk lane, one after the other; the replay's id."""
        ...

    def cancel(self, replay: str, *, actor: str) -> int:
        """What has not been tried yet is dead again; how many."""
        ...

    def discard(self, ids: Sequence[int], *, actor: str, reason: str) -> int:
        """Give them up, kept with the reason; how many."""
        ...

    def restore(self, ids: Sequence[int], *, actor: str, reason: str) -> int:
        """Take a discard back; how many."""
        ...


Predict = Callable[[Sequence[int]], tuple[list[Result], list[Effect]]]


def parse_rate(text: str | None) -> timedelta:
    """Time between two events of `20/s`, `20` or `600/m`; zero without a rate."""
    if text is None:
        return timedelta(0)
    found = _RATE.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"--rate {text!r} is not understood: 20/s, 600/m or 1000/h")
    return timedelta(seconds=_SECONDS[found[2] or "s"] / float(found[1]))


@dataclass(frozen=True, slots=True)
class Replay:
    """The use case: choose once, decide by the rules of live traffic, leave an audit row."""

    store: ReplayStore
    ringer: Ringer
    predict_ids: Predict

    def choose(self, selection: Selection) -> list[tuple[int, Kind]]:
        """The frozen set; raises UsageError for an empty filter, NothingFoundError for none."""
        selection.insist()
        chosen = self.store.choose(selection)
        if not chosen:
            raise NothingFoundError("open dead letter", "for this selection")
        return chosen

    def start(
        self, selection: Selection, *, actor: str, reason: str, rate: str | None = None
    ) -> Started:
        """Replay the selection; its events wait in the bulk lane."""
        interval = parse_rate(rate)
        if not reason.strip():
            raise UsageError("a replay needs a --reason for the audit")
        chosen = self.choose(selection)
        ids = tuple(number for number, _ in chosen)
        replay = self.store.start(ids, selection, actor=actor, reason=reason, interval=interval)
        for kind in sorted({kind for _, kind in chosen}):
            mine = [number for number, its in chosen if its is kind]
            self.ringer.ring(kind, Lane.BULK.value, connection="", event_ids=mine)
        return Started(replay, ids)

    def predict(self, selection: Selection) -> list[Prediction]:
        """Decide every chosen event for real, in a transaction that is rolled back."""
        ids = [number for number, _ in self.choose(selection)]
        found: list[Prediction] = []
        for first in range(0, len(ids), PREDICTED_AT_ONCE):
            results, effects = self.predict_ids(ids[first : first + PREDICTED_AT_ONCE])
            found += [
                Prediction(r, tuple(e for e in effects if e.event.id == r.event.id))
                for r in results
            ]
        return found
