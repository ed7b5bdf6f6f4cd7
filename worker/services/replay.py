"""Replay dead letters: a frozen selection, a dry run that decides for real, a rate (G8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.errors import NothingFoundError, UsageError
from domain.inbox import Kind, Lane
from domain.ports import Effect, Result, Ringer
from domain.replays import Selection, Started

#: Events that one dry-run transaction decides.
PREDICTED_AT_ONCE = 200
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What would become of one event now, and what would change for whom."""

    result: Result
    effects: tuple[Effect, ...]


class ReplayStore(Protocol):
    """Dead letters and replays of the database."""

    def choose(self, selection: Selection) -> list[tuple[int, Kind]]:
        """Events of open dead letters that are not being replayed, oldest first."""
        ...

    def start(
        self, selection: Selection, *, actor: str, reason: str, interval: timedelta
    ) -> Started | None:
        """Freeze the selection and make it due in the bulk lane, one event after the other.

        One transaction, so that two operators never replay the same letter; None where
        nothing is left to replay.
        """
        ...

    def cancel(self, replay: str, *, actor: str, account: str | None = None) -> int:
        """What has not been tried yet is dead again; how many.

        account: a replay with an event of another account is unknown. Raises NothingFoundError.
        """
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
        """What a start would take; raises UsageError for an empty filter, NothingFoundError."""
        selection.insist()
        chosen = self.store.choose(selection)
        if not chosen:
            raise _nothing()
        return chosen

    def start(
        self, selection: Selection, *, actor: str, reason: str, rate: str | None = None
    ) -> Started:
        """Replay the selection; its events wait in the bulk lane."""
        interval = parse_rate(rate)
        if not reason.strip():
            raise UsageError("a replay needs a --reason for the audit")
        selection.insist()
        started = self.store.start(selection, actor=actor, reason=reason, interval=interval)
        if started is None:
            raise _nothing()
        for kind in sorted({kind for _, kind in started.events}):
            mine = [number for number, its in started.events if its is kind]
            self.ringer.ring(kind, Lane.BULK.value, connection="", event_ids=mine)
        return started

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


def _nothing() -> NothingFoundError:
    return NothingFoundError("open dead letter", "for this selection")
