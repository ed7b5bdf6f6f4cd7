"""Replay dead letters: a frozen set, decided beforehand for real, then at a pace (G8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.consequences import audit_view
from domain.inbox import Kind, Lane
from domain.observing import does
from domain.pacing import PaceChange
from domain.permissions import Asker, Permission
from domain.ports import Effect, Result, Ringer
from domain.replays import (
    Foreseen,
    NothingChosenError,
    Order,
    ReplayState,
    Selection,
    Started,
    Unforeseen,
    parse_pace,
)

#: Events that one dry-run transaction decides.
PREDICTED_AT_ONCE = 200
#: Nothing was said of an event: somebody had it in hand just then.
UNKNOWN = "unknown"
Within = Collection[str] | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What would become of one event now, and what would change for whom."""

    result: Result
    effects: tuple[Effect, ...]

    @property
    def outcome(self) -> str:
        """Its outcome, or the state that it would rest in."""
        return (self.result.outcome or self.result.state).value

    @property
    def does(self) -> str | None:
        """What would be done to people, in words of `observing`, each once."""
        verbs = (
            does(audit_view(effect.before), audit_view(effect.after) or {})
            for effect in self.effects
        )
        return ",".join(dict.fromkeys(verb for verb in verbs if verb)) or None


def predictions(results: Sequence[Result], effects: Sequence[Effect]) -> list[Prediction]:
    """Each result with what it would change."""
    by_event: dict[int, list[Effect]] = defaultdict(list)
    for effect in effects:
        by_event[effect.event.id].append(effect)
    return [Prediction(result, tuple(by_event[result.event.id])) for result in results]


class ReplayStore(Protocol):
    """Replays of the database. within: ids of the accounts that there are; None for all.

    Each method is one transaction with its audit row. A replay of other accounts is unknown:
    NothingFoundError. One that is elsewhere than it would have to be: ReplayStateError.
    """

    def choose(self, selection: Selection, *, within: Within = None) -> list[int]:
        """Events of open dead letters that no replay under way has, in the order they came."""
        ...

    def freeze(
        self,
        selection: Selection,
        *,
        actor: str,
        within: Within = None,
        home: str | None = None,
    ) -> str:
        """Write a set down: what comes later is not in it. Its id; raises NothingChosenError.

        home: the account that it belongs to where its events are of several.
        """
        ...

    def start(
        self, selection: Selection, order: Order, *, actor: str, within: Within = None
    ) -> Started:
        """Freeze and start, without predictions; raises NothingChosenError.

        Two that do so at once never take the same event.
        """
        ...

    def start_planned(
        self, replay: str, order: Order, *, actor: str, within: Within = None
    ) -> None:
        """Carry a plan out; what another replay took since is left out."""
        ...

    def pause(self, replay: str, *, actor: str, reason: str, within: Within = None) -> None:
        """Try nothing more; what was released and not tried is dead again. Twice is once."""
        ...

    def resume(
        self,
        replay: str,
        *,
        actor: str,
        reason: str,
        change: PaceChange | None = None,
        within: Within = None,
    ) -> None:
        """Go on, at the pace as it was or as it is changed; a ramp begins anew. Twice is once."""
        ...

    def cancel(self, replay: str, *, actor: str, reason: str = "", within: Within = None) -> int:
        """What has not been tried yet will not be; how many. Twice is once."""
        ...


class ReplayPlanning(Protocol):
    """What is predicted of the events of a plan."""

    def unforeseen(self, replay: str) -> Unforeseen:
        """Some events that nothing is predicted of; those of one subject are not parted."""
        ...

    def note(self, replay: str, foreseen: Sequence[Foreseen]) -> bool:
        """Keep predictions; whether the plan is complete."""
        ...


class ReplayTurns(Protocol):
    """How replays go on, a short transaction at a time, each by one worker at once."""

    def at_work(self) -> list[tuple[str, ReplayState]]:
        """Replays that are planning or running, and that no other worker is at."""
        ...

    def turn(self, replay: str) -> int | None:
        """Note what was tried, release what is next: how many; None where another is at it."""
        ...

    def lease(self, replay: str) -> bool:
        """Whether this worker may plan on for now."""
        ...


Predict = Callable[[Sequence[int]], tuple[list[Result], list[Effect]]]


@dataclass(frozen=True, slots=True)
class Replay:
    """The use case: choose once, decide by the rules of live traffic, leave an audit row."""

    store: ReplayStore
    planning: ReplayPlanning
    ringer: Ringer
    predict_ids: Predict

    def choose(self, selection: Selection, *, within: Within = None) -> list[int]:
        """What a start would take; raises UsageError for an empty filter, NothingFoundError."""
        selection.insist()
        chosen = self.store.choose(selection, within=within)
        if not chosen:
            raise NothingChosenError
        return chosen

    def start(
        self, selection: Selection, *, actor: str, reason: str, rate: str | None = None
    ) -> Started:
        """Replay a selection without a plan; its events go to the bulk lane."""
        order = Order(reason, parse_pace(rate))
        order.check()
        selection.insist()
        started = self.store.start(selection, order, actor=actor)
        self.ring()
        return started

    def plan(self, selection: Selection, asker: Asker) -> str:
        """Freeze a selection; its id. `plan_on` or a worker predicts what becomes of it.

        Raises UsageError for an empty filter, NothingFoundError, NotPermittedError.
        """
        asker.check(Permission.REPLAY)
        selection.insist()
        return self.store.freeze(
            selection, actor=asker.name, within=asker.accounts, home=asker.home
        )

    def plan_on(self, replay: str) -> bool:
        """Predict a batch of a plan's events; whether the plan is complete."""
        todo = self.planning.unforeseen(replay)
        found: dict[tuple[str, str | None, str | None], list[int]] = defaultdict(list)
        for place, skip in todo.skips.items():
            found["skipped", skip.value, None].append(place)
        left = dict(todo.places)
        for one in self._predicted(list(todo.places)):
            reason = one.result.reason.value if one.result.reason is not None else None
            place = left.pop(one.result.event.id)
            found[one.outcome, reason, one.does].append(place)
        for place in left.values():
            found[UNKNOWN, None, None].append(place)
        return self.planning.note(
            replay, [Foreseen(tuple(places), *told) for told, places in found.items()]
        )

    def start_plan(self, replay: str, order: Order, asker: Asker) -> None:
        """Carry a plan out; raises ReplayStateError where it was started already."""
        asker.check(Permission.REPLAY)
        order.check()
        self.store.start_planned(replay, order, actor=asker.name, within=asker.accounts)
        self.ring()

    def pause(self, replay: str, asker: Asker, *, reason: str = "") -> None:
        """Stop for now."""
        asker.check(Permission.REPLAY)
        self.store.pause(replay, actor=asker.name, reason=reason, within=asker.accounts)

    def resume(
        self, replay: str, asker: Asker, *, reason: str = "", change: PaceChange | None = None
    ) -> None:
        """Go on. change: of the pace that was ordered. Raises UsageError."""
        asker.check(Permission.REPLAY)
        told = {"actor": asker.name, "reason": reason}
        self.store.resume(replay, change=change, within=asker.accounts, **told)
        self.ring()

    def cancel(self, replay: str, asker: Asker, *, reason: str = "") -> int:
        """Try nothing more, for good; how many events stay dead."""
        asker.check(Permission.REPLAY)
        return self.store.cancel(replay, actor=asker.name, reason=reason, within=asker.accounts)

    def predict(self, selection: Selection, *, within: Within = None) -> list[Prediction]:
        """Decide every chosen event for real, in transactions that are rolled back."""
        ids = self.choose(selection, within=within)
        found: list[Prediction] = []
        for first in range(0, len(ids), PREDICTED_AT_ONCE):
            found += self._predicted(ids[first : first + PREDICTED_AT_ONCE])
        return found

    def _predicted(self, ids: Sequence[int]) -> list[Prediction]:
        return predictions(*self.predict_ids(ids)) if ids else []

    def ring(self) -> None:
        """Wake the bulk lane for what was released."""
        self.ringer.ring(Kind.SORT, Lane.BULK.value, connection="", event_ids=())


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a worker does about all replays that are under way: a step of each."""

    replay: Replay
    turns: ReplayTurns
    #: So long one plan is worked on before the next replay has its turn.
    patience: timedelta
    monotonic: Callable[[], float]

    def run(self) -> bool:
        """A step of each; whether any is under way here."""
        found = self.turns.at_work()
        for replay, state in found:
            if state is ReplayState.PLANNING:
                self._plan(replay)
            elif self.turns.turn(replay):
                self.replay.ring()
        return bool(found)

    def _plan(self, replay: str) -> None:
        until = self.monotonic() + self.patience.total_seconds()
        while self.turns.lease(replay):
            if self.replay.plan_on(replay) or self.monotonic() >= until:
                return
