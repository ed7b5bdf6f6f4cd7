"""Drain a lane of one kind of event: claim, parse, decide, write, one commit a batch (D5-D8)."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256

from domain.addressing import readdressed
from domain.changes import Change, kind_of, named_by, renamed
from domain.inbox import BULK_BATCH, URGENT_BATCH, Kind, Lane, Outcome, Reason, State
from domain.policy import Policy
from domain.ports import (
    ClaimedEvent,
    DrainWork,
    Effect,
    InfrastructureError,
    Parsed,
    Result,
    Source,
    UnparseableError,
)
from domain.retry import TROUBLED_BATCH, Done, GiveUp, RetryPolicy, again, decide_retry
from worker.services.announced import note_changes
from worker.services.apply import apply_batch
from worker.services.breaking import Gate
from worker.services.compared import remember
from worker.services.find import Heard, Unnamed, by_address, signalled
from worker.services.read_back import UNSORTED, Thin, read_back
from worker.services.results import needs_reading, unparseable
from worker.services.world import Work, load

Report = Callable[[str, Mapping[str, object]], None]
#: Of one connection's events in a batch that broke so many are tried together, then one by one.
PIECE = 10
#: For so long others wait while the guilty ones of a batch are looked for.
NARROWING_SECONDS = 0.1
_LARGEST = {Lane.URGENT.value: URGENT_BATCH, Lane.BULK.value: BULK_BATCH}


@dataclass(slots=True)
class Tally:
    """What a drain did, in the words that its task returns."""

    claimed: int = 0
    applied: int = 0
    unchanged: int = 0
    superseded: int = 0
    ignored: int = 0
    waiting: int = 0
    retrying: int = 0
    held: int = 0
    dead: int = 0

    def count(self, results: Sequence[Result]) -> None:
        """Add the results of a committed batch."""
        self.claimed += len(results)
        for result in results:
            name = result.outcome or result.state
            setattr(self, name.value, getattr(self, name.value) + 1)

    def add(self, other: Tally) -> None:
        """Add what another drain did."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, int]:
        """For the task's return value."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class _Read:
    """What the events of a batch ask for; done: those that ask for nothing, or cannot be read."""

    done: list[Result] = field(default_factory=list)
    batch: list[Work] = field(default_factory=list)
    signals: list[Heard] = field(default_factory=list)
    unnamed: list[Unnamed] = field(default_factory=list)
    thin: list[Thin] = field(default_factory=list)

    def take(
        self, event: ClaimedEvent, parsed: Parsed, changes: tuple[Change, ...], policy: Policy
    ) -> None:
        """Put an event where it belongs by what it asks for."""
        told = Work(event, changes, policy, keeps=parsed.keeps)
        if parsed.wants is not None and policy.reads:
            self.thin.append(Thin(replace(told, changes=()), parsed.wants))
        elif not changes:
            self.done.append(_asks_nothing(event, parsed))
            if parsed.signal is not None and policy.announces:
                self.signals.append(Heard(event, parsed.signal))
        elif parsed.whose:
            self.unnamed.append(Unnamed(replace(told, keeps=None), parsed.whose))
        else:
            self.batch.append(told)

    def refuse(self, event: ClaimedEvent, error: UnparseableError, policy: Policy) -> None:
        """What cannot be understood is read instead where it may, or is a dead letter."""
        if error.wants is not None and policy.reads:
            self.thin.append(Thin(Work(event, (), policy), error.wants))
        else:
            self.done.append(unparseable(event, error))

    def join(
        self, batch: Sequence[Work], done: Sequence[Result], events: Sequence[ClaimedEvent]
    ) -> None:
        """What was found out of some of these events, in their order."""
        places = {event.id: place for place, event in enumerate(events)}
        self.batch = sorted([*self.batch, *batch], key=lambda one: places[one.event.id])
        self.done += done


@dataclass(frozen=True, slots=True)
class Drain:
    """One worker's way of emptying lanes. `works` opens a unit of work; `after` hears results.

    Every unit may be made again after a loss in its commit: claiming takes only what is due and
    retaking only what is open, so what was committed is not done twice, only not tallied.
    interrupts: errors that come from outside, such as a time limit, and say nothing of a batch.
    """

    works: Callable[[], AbstractContextManager[DrainWork]]
    source_named: Callable[[str], Source]
    new_id: Callable[[], str]
    random: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    report: Report
    after: Callable[[DrainWork, Sequence[Result]], None]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    new_hold_id: Callable[[], str] = lambda: "hld"
    batch_size: int = 500
    interrupts: tuple[type[Exception], ...] = ()

    def run(
        self, *, lane: str, kind: Kind, budget: timedelta, is_guest: bool = False
    ) -> tuple[Tally, bool]:
        """Drain until empty or the budget is spent; whether anything may be left.

        is_guest: for a worker of another lane, who is in nobody's way here.
        """
        tally = Tally()
        deadline = self.monotonic() + budget.total_seconds()
        for troubled in (False, True):
            while True:
                claimed = self._batch(tally, lane, kind, troubled=troubled, is_guest=is_guest)
                if claimed == 0:
                    break
                if self.monotonic() >= deadline:
                    return tally, True
        return tally, False

    def _batch(self, tally: Tally, lane: str, kind: Kind, *, troubled: bool, is_guest: bool) -> int:
        """One batch, or what bisecting it came to; how many events it claimed."""
        limit = TROUBLED_BATCH if troubled else self.batch_size
        limit = min(limit, _LARGEST.get(lane, limit))
        claimed: list[ClaimedEvent] = []

        def claim(work: DrainWork) -> list[ClaimedEvent]:
            return work.claim(
                lane=lane, kind=kind, limit=limit, troubled=troubled, is_guest=is_guest
            )

        try:
            results = self._attempt(claim, claimed)
        except Exception as error:
            if not claimed or self._is_from_outside(error):
                raise
            # Whatever breaks a batch is narrowed down. A database quotes the row that it refuses:
            # what it says is kept with the attempt.
            self.report("batch_broke", {"size": len(claimed), "error": type(error).__name__})
            results = self._bisect(claimed, error)
        tally.count(results)
        return len(results)

    def _attempt(
        self, claim: Callable[[DrainWork], list[ClaimedEvent]], claimed: list[ClaimedEvent]
    ) -> list[Result]:
        """Claim and apply in one transaction."""

        def unit() -> list[Result]:
            claimed.clear()
            with self.works() as work:
                claimed.extend(claim(work))
                return self._apply(work, claimed)

        return self._again(unit)

    def _again(self, unit: Callable[[], Done]) -> Done:
        return again(unit, random=self.random, sleep=self.sleep, report=self.report)

    def _is_from_outside(self, error: Exception) -> bool:
        """Whether it says nothing of the batch, as a statement that took too long may."""
        if isinstance(error, InfrastructureError):
            return not error.is_slow
        return isinstance(error, self.interrupts)

    def _apply(self, work: DrainWork, events: Sequence[ClaimedEvent]) -> list[Result]:
        if not events:
            return []
        results = self.write(work, events)
        work.commit()
        self.after(work, results)
        return results

    def write(self, work: DrainWork, events: Sequence[ClaimedEvent]) -> list[Result]:
        """Decide the events and write what comes of them; not committed yet."""
        read = self._parse(work, events)
        work.foresee([(one.policy.connection, c) for one in read.batch for c in one.changes])
        world = load(work.directory, read.batch)
        former = remember(world, read.batch)
        gate = Gate(work.breaker, read.batch, self.new_hold_id, world.writes.breaker)
        applied = apply_batch(world, read.batch, now=work.now, new_id=self.new_id, gate=gate)
        _keep(work, read.batch, applied)
        results = [*read.done, *applied]
        work.directory.wake(world.touched.keys())
        signals = signalled(work.directory, read.signals)
        note_changes(world, former)
        world.writes.announcements += signals
        work.save(world.writes)
        work.finish(results)
        return results

    def predict(self, ids: Sequence[int]) -> tuple[list[Result], list[Effect]]:
        """What would become of these events now: decided for real, then rolled back (G8)."""
        return self._predict(lambda _work: ids, is_counted=False)

    def predict_made(
        self, make: Callable[[DrainWork], Sequence[int]]
    ) -> tuple[list[Result], list[Effect]]:
        """The same of events that are made in the transaction, and undone with it.

        They are no replays: the breaker counts them as it will (D17).
        """
        return self._predict(make, is_counted=True)

    def _predict(
        self, make: Callable[[DrainWork], Sequence[int]], *, is_counted: bool
    ) -> tuple[list[Result], list[Effect]]:

        def unit() -> tuple[list[Result], list[Effect]]:
            with self.works() as work:
                ids = make(work)
                work.reopen(ids)
                read = self._parse(work, work.retake(ids))
                world = load(work.directory, read.batch)
                gate = None
                if is_counted:
                    gate = Gate(work.breaker, read.batch, self.new_hold_id, world.writes.breaker)
                results = apply_batch(
                    world, read.batch, now=work.now, new_id=self.new_id, gate=gate
                )
                return [*read.done, *results], list(world.writes.effects)

        return self._again(unit)

    def _parse(self, work: DrainWork, events: Sequence[ClaimedEvent]) -> _Read:
        """Raw bytes to changes, event by event; a bad one is a dead letter of its own."""
        policies = work.policies(events)
        sources = {feed: self.source_named(name) for feed, name in work.sources(events).items()}
        bodies = work.bodies(events)
        whose = {event.feed: policies[event.connection] for event in events}
        told = {feed: _policy_for(policy, sources[feed]) for feed, policy in whose.items()}
        documents: dict[int, object] = {}
        read = _Read()
        for event in events:
            source, policy = sources[event.feed], policies[event.connection]
            try:
                if event.delivery not in documents:
                    documents[event.delivery] = source.read(bodies[event.delivery])
                parsed = source.parse(documents[event.delivery], event.ordinal)
                if source.tells_tenant and policy.tenant not in {"", *parsed.tenants}:
                    parsed = Parsed(ignored=Reason.OUT_OF_SCOPE)
                changes = readdressed(parsed.changes, policy.address)
            except UnparseableError as error:
                read.refuse(event, error, policy)
                continue
            if event.kind in UNSORTED:
                # Stored unsplit, or of a history that went live in one queue: known only now.
                event = replace(event, kind=kind_of(parsed.changes))  # noqa: PLW2901
            read.take(event, parsed, changes, told[event.feed])
        if read.unnamed:
            read.join(*by_address(work.directory, read.unnamed, now=work.now), events)
        if read.thin:
            read.join(*read_back(work.reads, work.directory, read.thin, work.now), events)
        read.batch = _by_first_names(work, read.batch)
        return read

    def _bisect(self, events: Sequence[ClaimedEvent], error: Exception) -> list[Result]:
        """D8: narrow down until only the guilty one pays, by connection first.

        Whoever shares a part with nobody guilty is applied as soon as the part is made. Where many
        are guilty that takes long: after NARROWING_SECONDS the rest is left as it is, due, and
        whatever else waits for this worker has its turn.
        """
        results: list[Result] = []
        until = self.monotonic() + NARROWING_SECONDS
        broken = [(events, error)]
        # The latest part first: it is the smallest, so that a look ends with something found.
        while broken and not (results and self.monotonic() >= until):
            suspects, error = broken.pop()
            if len(suspects) == 1:
                results.append(self._failed(suspects[0], error))
                continue
            for part in _parts(suspects):
                ids = [event.id for event in part]
                try:
                    results += self._attempt(lambda work, ids=ids: work.retake(ids), [])  # type: ignore[misc]
                except Exception as narrower:
                    if self._is_from_outside(narrower):
                        raise
                    if len(part) == 1:
                        results.append(self._failed(part[0], narrower))
                    else:
                        broken.append((part, narrower))
        return results

    def _failed(self, event: ClaimedEvent, error: Exception) -> Result:
        """The guilty event alone: a retry by policy, or a dead letter."""

        def unit() -> list[Result]:
            with self.works() as work:
                # Counted once: after a commit in doubt it may bear this failure already.
                mine = [e for e in work.retake([event.id]) if e.attempts == event.attempts]
                results = [self._next_try(work, found, error) for found in mine]
                work.finish(results)
                work.commit()
                self.after(work, results)
                return results

        results = self._again(unit)
        return results[0] if results else Result(event, State.RETRYING, attempts=event.attempts)

    def _next_try(self, work: DrainWork, event: ClaimedEvent, error: Exception) -> Result:
        tried = event.attempts + 1
        verdict = decide_retry(policy=self.retry, attempts=tried, random=self.random)
        detail = f"{type(error).__name__}: {error}"
        place = traceback.extract_tb(error.__traceback__)[-1:] if error.__traceback__ else []
        mark = sha256(f"{type(error).__name__}{[(f.name, f.lineno) for f in place]}".encode())
        if isinstance(verdict, GiveUp):
            return Result(
                event,
                State.DEAD,
                Outcome.DEAD,
                Reason.ERROR,
                detail,
                attempts=tried,
                fingerprint=f"error:{type(error).__name__}:{mark.hexdigest()[:8]}",
            )
        return Result(
            event,
            State.RETRYING,
            None,
            Reason.ERROR,
            detail,
            due_at=work.now + verdict.wait,
            attempts=tried,
        )


def _parts(events: Sequence[ClaimedEvent]) -> list[Sequence[ClaimedEvent]]:
    """Halves by connection if there are several; of one, pieces, and of a piece each event."""
    connections = sorted({event.connection for event in events})
    if len(connections) > 1:
        some = set(connections[: len(connections) // 2])
        return [
            [e for e in events if e.connection in some],
            [e for e in events if e.connection not in some],
        ]
    size = PIECE if len(events) > PIECE else 1
    return [events[place : place + size] for place in range(0, len(events), size)]


def _keep(work: DrainWork, batch: Sequence[Work], results: Sequence[Result]) -> None:
    """What sources want remembered of events that were not refused."""
    for one, result in zip(batch, results, strict=True):
        if one.keeps is not None and result.state in (State.ENDED, State.WAITING):
            work.keep(one.event, one.keeps)


def _by_first_names(work: DrainWork, batch: list[Work]) -> list[Work]:
    """D13: subjects by the external id of first contact, where an event names a later one."""
    known: dict[str, dict[str, str]] = {}
    for connection in {one.policy.connection for one in batch if one.policy.has_aliases}:
        mine = (one for one in batch if one.policy.connection == connection)
        keys = {key for one in mine for change in one.changes for key in named_by(change)}
        known[connection] = work.renamed(connection, keys)
    if not any(known.values()):
        return batch
    return [_by_first_name(one, known.get(one.policy.connection, {})) for one in batch]


def _by_first_name(one: Work, keys: Mapping[str, str]) -> Work:
    return replace(one, changes=tuple(renamed(change, keys) for change in one.changes))


def _asks_nothing(event: ClaimedEvent, parsed: Parsed) -> Result:
    reason = parsed.ignored or Reason.NO_DIRECTORY_CHANGE
    if reason is Reason.NEEDS_READING:
        return needs_reading(event)
    return Result(event, State.ENDED, Outcome.IGNORED, reason, f"type {event.type}")


def _policy_for(policy: Policy, source: Source) -> Policy:
    """U8: reading back concerns only feeds that prove themselves by a static secret."""
    return policy if source.has_static_secret else replace(policy, let_in=True)
