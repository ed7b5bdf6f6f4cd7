"""Provision: one SCIM write, applied and answered in one transaction (D2, D13).

The same decisions as a drain's, over one event that is stored with its outcome. What a rule
refuses is stored, too, as a dead letter; the resource stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count

from domain.inbox import Kind, Outcome, Reason, State
from domain.keys import user_id
from domain.ports import (
    InfrastructureError,
    Result,
    Writes,
)
from domain.provisioning import Names, ProvisionWork
from domain.resources import (
    Answer,
    Ask,
    Recorded,
    Refusal,
    Resource,
    ResourceKind,
)
from domain.retry import again
from worker.services.announced import note_changes
from worker.services.apply import apply_batch
from worker.services.breaking import Gate
from worker.services.compared import remember
from worker.services.world import load
from worker.services.writing import Apart, StopError, Told, Writing


@dataclass(frozen=True, slots=True)
class Provision:
    """The use case. works: opens a unit of work for requests, and whether it waits for locks.

    after: hears what was committed.
    """

    works: Callable[[Sequence[Ask], bool], AbstractContextManager[ProvisionWork]]
    names: Names
    new_person: Callable[[], str]
    new_resource: Callable[[], str]
    new_hold: Callable[[], str]
    random: Callable[[], float]
    sleep: Callable[[float], None]
    report: Callable[[str, Mapping[str, object]], None]
    after: Callable[[ProvisionWork, Sequence[Result]], None]

    def write(self, ask: Ask) -> Answer:
        """Apply and store one request; raises what its `compose` raises, InfrastructureError.

        Made again where it met another transaction; a write is never done twice, because what was
        committed is found by the second try, even if nobody heard of it.
        """
        (told,) = self._tell([ask], waits=True)
        if isinstance(told, Exception):
            raise told
        return told if isinstance(told, Answer) else Answer(refused=Refusal.BUSY)

    def write_all(self, asks: Sequence[Ask]) -> list[Told]:
        """Several requests of one connection in one transaction, each by itself; in their order.

        Raises InfrastructureError: then nothing of any of them was done.
        """
        return self._tell(asks, waits=len(asks) == 1)

    def _tell(self, asks: Sequence[Ask], *, waits: bool) -> list[Told]:
        # What each is known by, however often it is tried.
        requests, tries = [self.new_resource() for _ in asks], count()

        def unit() -> list[Told]:
            with self.works(asks, waits) as work:
                batch = _Batch(self, work, dict(zip(requests, asks, strict=True)), waits=waits)
                return batch.run(is_again=next(tries) > 0)

        return again(unit, random=self.random, sleep=self.sleep, report=self.report)


class _Batch:
    """Requests of one connection inside one transaction."""

    def __init__(
        self, use: Provision, work: ProvisionWork, asks: Mapping[str, Ask], *, waits: bool
    ) -> None:
        self._use = use
        self._work = work
        self._waits = waits
        self._latest: dict[str, Resource] = {}
        self._writings = [Writing(use.names, request, ask) for request, ask in asks.items()]

    def run(self, *, is_again: bool) -> list[Told]:
        """Find, decide, write, commit. is_again: a try before may have been committed."""
        if is_again:
            self._find_done()
        self._find()
        self._find_nobodies()
        self._each(self._ask_for)
        writes = self._decide([one for one in self._open if one.asked is not None])
        self._store([one for one in self._open if one.result is not None], writes)
        return [one.told for one in self._writings]

    def _ask_for(self, one: Writing) -> None:
        """Of several about the members of one group each begins with what the one before made."""
        id_ = one.ask.resource
        if id_ is not None:
            one.before = self._latest.get(id_, one.before)
        one.ask_for(self._work, self._keys)
        if id_ is not None and one.after is not None:
            self._latest[id_] = one.after

    @property
    def _open(self) -> list[Writing]:
        return [one for one in self._writings if not one.is_told]

    def _each(self, do: Callable[[Writing], None]) -> None:
        """Whatever stops one request stops that one only."""
        for one in self._open:
            try:
                do(one)
            except InfrastructureError:
                raise
            except StopError as stop:
                one.tell(stop.answer)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                one.tell(error)

    # -- finding -----------------------------------------------------------------------

    def _find_done(self) -> None:
        """What a try has done whose commit was not heard of is answered, not done again."""
        done = self._work.done({one.request for one in self._writings})
        for one in self._writings:
            if one.request in done:
                one.tell(Answer(resource=done[one.request], is_new=one.ask.resource is None))

    def _find(self) -> None:
        work = self._work
        locked = work.begun()
        self._each(lambda one: one.compose(locked, waits=self._waits))
        self._part()
        names = sorted({name for one in self._open for name in one.new_names()})
        found: list[Resource] = []
        if names:
            mine = [one.name for one in self._open if one.name and one.new_names()]
            found = work.claimed(names, mine)
        self._each(lambda one: one.settle_name(found))
        self._each(self._insist_left)
        self._take_up()
        members = {member for one in self._open for member in one.members()}
        self._keys = work.keys(ResourceKind.USER, members) if members else {}
        self._each(self._insist_people)

    def _insist_left(self, one: Writing) -> None:
        """D13: a leaver is taken for the one who is meant, but not who has returned since."""
        former = one.former
        if former and any(found.deleted_at is None for found in self._work.named([former])):
            one.is_another()

    def _insist_people(self, one: Writing) -> None:
        """A group is no member, whether or not the request says what it names."""
        unknown = one.arriving() - self._keys.keys()
        groups = self._work.keys(ResourceKind.GROUP, unknown) if unknown else {}
        if groups:
            raise StopError(Answer(refused=Refusal.NESTED, detail=min(groups)))

    def _part(self) -> None:
        """Two that want one name, or the document of one resource, are not made together."""
        seen: set[object] = set()
        shared: set[str] = set()
        for one in self._open:
            id_, names = one.ask.resource, set(one.new_names())
            is_shared = one.is_of_members_only and (id_ not in seen or id_ in shared)
            if names & seen or (id_ in seen and not is_shared):
                one.tell(Apart.NEXT)
            elif is_shared and id_ is not None:
                shared.add(id_)
            seen |= {*names, id_} - {None}

    def _take_up(self) -> None:
        """Resources that only other feeds told of, and that a creation means: locked late."""
        found = {
            one.before.id: one
            for one in self._open
            if one.ask.resource is None and one.before is not None
        }
        if not found:
            return
        locked = self._work.locked(found.keys(), waits=True)
        for id_, one in found.items():
            now = locked.get(id_)
            if now is None or now.is_told:
                one.tell(Answer(refused=Refusal.TAKEN))
            else:
                one.before = now

    def _find_nobodies(self) -> None:
        """Users who are no person so far: asked for only of those who were there before."""
        mine = {
            user_id(one.ask.speaker.connection, one.key): one
            for one in self._open
            if one.ask.kind is ResourceKind.USER and one.before is not None and one.says_nothing
        }
        linked = self._work.directory.linked(mine.keys()) if mine else {}
        for subject, one in mine.items():
            one.is_nobody = linked.get(subject) is None

    # -- deciding ----------------------------------------------------------------------

    def _decide(self, writings: Sequence[Writing]) -> Writes | None:
        use, work = self._use, self._work
        if not writings:
            return None
        for one in writings:
            one.ask_anew()
        batch = [one.asked for one in writings if one.asked is not None]
        work.foresee([(one.policy.connection, c) for one in batch for c in one.changes])
        world = load(work.directory, batch)
        writings = [one for one in writings if not one.is_settled(world)]
        at = 0
        for one in writings:
            at = one.fit(world, at)
        asked = [one.asked for one in writings if one.asked is not None]
        former = remember(world, asked)
        gate = Gate(work.breaker, asked, use.new_hold, world.writes.breaker)
        results = apply_batch(world, asked, now=work.now, new_id=use.new_person, gate=gate)
        work.directory.wake(world.touched.keys())
        note_changes(world, former)
        for one, result in zip(writings, results, strict=True):
            if result.state is State.WAITING and not result.waits:
                one.tell(Answer(refused=Refusal.BUSY) if self._waits else Apart.ALONE)
                continue
            one.result = result
            one.see(world)
        return world.writes

    # -- storing -----------------------------------------------------------------------

    def _store(self, writings: Sequence[Writing], writes: Writes | None) -> None:
        """Write resources unless their events were refused, and the events; commit."""
        work = self._work
        done = [one for one in writings if one.result is not None and one.after is not None]
        if not done:
            return
        events, repeats = self._events(done, writes)
        if writes is not None:
            work.save(writes)
        work.record(events)
        for number, result in repeats:
            work.repeat(number, result)
        kept = {event.after.id: event for event in events if event.is_kept}
        work.put([(event.before, event.after) for event in kept.values()])
        self._commit(done)
        self._use.after(work, [one.result for one in done if one.result is not None])

    def _commit(self, done: Sequence[Writing]) -> None:
        """What the answers show is asked for in the same breath."""
        shown = {
            one.after.id: (one.after, one.known)
            for one in done
            if one.ask.shows_related and one.after is not None and one.known is not None
        }
        seen = self._work.commit_and_see(shown)
        for one in done:
            if one.after is not None and one.after.id in seen:
                one.see_related(seen[one.after.id])

    def _events(
        self, done: Sequence[Writing], writes: Writes | None
    ) -> tuple[list[Recorded], list[tuple[int, Result]]]:
        """What is stored, and what only adds an attempt to an event; every request is answered.

        Providers send what was refused again and again, for days: one event, many attempts.
        """
        events: list[Recorded] = []
        repeats: list[tuple[int, Result]] = []
        for one in done:
            result, after = one.result, one.after
            if result is None or after is None:
                continue
            is_kept = _is_kept(result, one.before)
            former = None if is_kept else self._work.former(result, one.changes)
            if former is not None:
                repeats.append((former, result))
            else:
                hold = _hold_of(result, writes)
                recorded = Recorded(one.ask, result, one.changes, one.before, after, is_kept, hold)
                events.append(recorded)
            one.tell(one.answer(former or result.event.id, is_kept=is_kept))
        return events, repeats


def _is_kept(result: Result, before: Resource | None) -> bool:
    """Whether the resource becomes what was asked for.

    Not while the breaker holds it; a creation that is ignored was undone, an ignored change is
    kept (D1).
    """
    if result.state is State.HELD:
        return result.reason is Reason.OBSERVING
    if before is None and result.outcome is Outcome.IGNORED:
        return result.reason not in (Reason.GUEST, Reason.OUT_OF_SCOPE) or _is_of_scope(result)
    return result.state is not State.DEAD


def _hold_of(result: Result, writes: Writes | None) -> str | None:
    held = writes.breaker.held if writes is not None else ()
    return next((hold for event, hold in held if event == result.event.id), None)


def _is_of_scope(result: Result) -> bool:
    """Somebody who may come into scope by a membership later has to be known for that (S1)."""
    return result.reason is Reason.OUT_OF_SCOPE and result.event.kind is not Kind.GROUPS_UPSERT
