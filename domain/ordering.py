"""Folding of facts: sorted histories, what held at a moment, when somebody was out (D2, D3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from domain.model import Mark, UserFacts, Word
from domain.policy import Scope, ScopeRule
from domain.values import BEGINNING, HORIZON, MICROSECOND, Stamp, normalise_address

#: Words kept of one history whatever their age; beyond it, what nothing can reach goes (D3).
KEPT_WORDS = 64
#: More than this of one history, and what says nothing new is thinned out within that reach, too:
#: it is read and written with each event of the subject.
MOST_WORDS = 1_000
GUEST = "guest"
#: Who is quoted for what held when a subject was taken over from another connection, or linked to
#: somebody who is out. It replaces all that was said before it, and any word of a feed that lets
#: the person in replaces it.
INHERITED = "(inherited)"
#: Whose register it is that somebody was missing in a full list, or is in one again (S3).
LISTING = "listing"
#: Whose register it is what the IdP itself answered when its directory was read: it speaks for all
#: its feeds. Active outranks what any of them said before; of one who was out, any feed's later
#: "active" is news (U8 is about feeds that contradict each other, not about who is asked).
READ = "read"
HORIZON_MICROS = HORIZON // MICROSECOND


class Absence(NamedTuple):
    """A stretch in which the person was out; back is None while it lasts."""

    gone: Stamp
    back: Stamp | None


def remember(history: tuple[Word, ...], word: Word) -> tuple[Word, ...]:
    """The history with the word in its place; the same history if it is in it already."""
    if not history or history[-1] < word:
        return _trim((*history, word))
    at = bisect_left(history, word)
    if at < len(history) and history[at] == word:
        return history
    return _trim((*history[:at], word, *history[at:]))


def _trim(history: tuple[Word, ...]) -> tuple[Word, ...]:
    """Drop words equal to both their neighbours, once out of reach of late facts.

    A late fact is at most a horizon older than its receipt, so the inside of a run of equal
    values that ended before that can never be split again (D3, D16).
    """
    if len(history) <= KEPT_WORDS:
        return history
    reach = history[-1].stamp.at - HORIZON_MICROS
    kept = tuple(
        word
        for index, word in enumerate(history)
        if word.stamp.at >= reach or not _is_inside_run(history, index)
    )
    return kept if len(kept) <= MOST_WORDS else _thinned(kept)


def _thinned(history: tuple[Word, ...]) -> tuple[Word, ...]:
    """Without the older half of what only repeats its neighbours.

    A late fact that splits such a run may then count the run's second part as begun later than it
    was: it moves a claim to an address (D4) within the run, and nothing else.
    """
    half = len(history) // 2
    return tuple(
        word
        for index, word in enumerate(history)
        if index >= half or not _is_inside_run(history, index)
    )


def _is_inside_run(history: tuple[Word, ...], index: int) -> bool:
    if not 0 < index < len(history) - 1:
        return False
    said = history[index][1:]
    return history[index - 1][1:] == said and history[index + 1][1:] == said


def requested_at(emails: tuple[Word, ...], stamp: Stamp) -> str | None:
    """The address that the IdP asked for as of a stamp, its own fact included."""
    at = bisect_right(emails, stamp, key=_stamp_of)
    return str(emails[at - 1].value) if at else None


def _stamp_of(word: Word) -> Stamp:
    return word.stamp


def run_start(history: tuple[Word, ...]) -> Stamp:
    """Stamp of the first fact of the newest run of equal values."""
    if not history:
        return BEGINNING
    start = history[-1]
    for word in reversed(history):
        if word.value != start.value:
            break
        start = word
    return start.stamp


def given_at(emails: tuple[Word, ...], address: str) -> Stamp:
    """Stamp of the first fact of the newest run that gave this address.

    Where none did (a later claim still waits, E8), that of the newest run.
    """
    wanted = normalise_address(address)
    end = len(emails)
    while end > 0 and normalise_address(str(emails[end - 1].value)) != wanted:
        end -= 1
    return run_start(emails[:end] if end else emails)


def in_force_at(marks: tuple[Mark, ...], stamp: Stamp) -> str | None:
    """The proven address in force as of a stamp; None where the first proof came later."""
    proven = [mark for mark in marks if mark.stamp <= stamp]
    return max(proven).address if proven else None


def in_force(marks: tuple[Mark, ...]) -> str:
    """The proven address in force now."""
    return max(marks).address


class _Status:
    """Replays the words of one person in the order of their stamps."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._out_by: set[str] = set()
        self._in_by: set[str] = set()
        self.is_guest = False

    def hear(self, word: Word, *, about_scope: bool) -> None:
        if word.by == INHERITED:
            self._inherit(word, about_scope=about_scope)
        elif not about_scope:
            self._hear_active(word)
        elif word.by == GUEST:
            self.is_guest = bool(word.value)
        else:
            self._hear_scope(word)

    def _inherit(self, word: Word, *, about_scope: bool) -> None:
        if about_scope:
            self._in_by = {INHERITED} if word.value else set()
        else:
            self._out_by = set() if word.value else {INHERITED}

    def _hear_scope(self, word: Word) -> None:
        self._in_by.discard(INHERITED)
        if word.value:
            self._in_by.add(word.by)
            self._out_by.discard(INHERITED)
        else:
            self._in_by.discard(word.by)

    def _hear_active(self, word: Word) -> None:
        """Nobody said that a missing person is out: any feed's later "active" outranks a list."""
        if not word.value:
            self._out_by.add(word.by)
        elif word.by == READ:
            self._out_by.clear()
        else:
            self._out_by -= {word.by, LISTING, INHERITED, READ}

    @property
    def in_scope(self) -> bool:
        if self.is_guest:
            return False
        if self._scope.is_open or INHERITED in self._in_by:
            return True
        return not self._in_by.isdisjoint(self._scope.keys)

    @property
    def is_active(self) -> bool:
        return self.in_scope and not self._out_by


class Standing(NamedTuple):
    """What the histories say of one person.

    was_in_scope: at some moment; only then is there anything to provision (S1).
    is_guest: out of scope now because of it (S2).
    """

    is_active: bool
    in_scope: bool
    was_in_scope: bool
    is_guest: bool
    absences: tuple[Absence, ...]


_ALWAYS_HERE = Standing(True, True, True, False, ())


def standing(facts: UserFacts, scope: Scope) -> Standing:
    """Replay of all words on `active` and scope: active only if no feed says inactive (U8)."""
    if not facts.actives and not facts.scopes and scope.is_open:
        return _ALWAYS_HERE
    status = _Status(scope)
    was_in_scope = scope.is_open and not facts.scopes
    absences: list[Absence] = []
    gone: Stamp | None = None
    has_been_active = scope.is_open
    for stamp, words in _moments(facts):
        for word, about_scope in words:
            status.hear(word, about_scope=about_scope)
        was_in_scope = was_in_scope or status.in_scope
        if status.is_active:
            has_been_active = True
            if gone is not None:
                absences.append(Absence(gone, stamp))
                gone = None
        elif gone is None and has_been_active:
            gone = stamp
    if gone is not None:
        absences.append(Absence(gone, None))
    return Standing(
        status.is_active, status.in_scope, was_in_scope, status.is_guest, tuple(absences)
    )


def is_said_out(facts: UserFacts) -> bool:
    """Whether anybody's last word is that the person is out, whatever the scope (U8)."""
    status = _Status(Scope())
    for _, words in _moments(facts):
        for word, about_scope in words:
            if not about_scope:
                status.hear(word, about_scope=False)
    return not status.is_active


def _moments(facts: UserFacts) -> Iterator[tuple[Stamp, list[tuple[Word, bool]]]]:
    """All words by event, so that several words of one event count as one moment.

    Addresses count as moments too: being described while in scope is what provisions. A list that
    is older than the first of them says nothing of somebody who came after it.
    """
    first = facts.emails[0].stamp if facts.emails else None
    words: list[tuple[Stamp, Word | None, bool]] = [
        *(
            (w.stamp, w, False)
            for w in facts.actives
            if w.by != LISTING or (first is not None and first < w.stamp)
        ),
        *((w.stamp, w, True) for w in facts.scopes),
        *((w.stamp, None, False) for w in facts.emails),
    ]
    words.sort(key=_moment_order)
    index = 0
    while index < len(words):
        stamp = words[index][0]
        group: list[tuple[Word, bool]] = []
        while index < len(words) and _same_event(words[index][0], stamp):
            word = words[index][1]
            stamp = max(stamp, words[index][0])
            if word is not None:
                group.append((word, words[index][2]))
            index += 1
        yield stamp, group


def _moment_order(row: tuple[Stamp, Word | None, bool]) -> Stamp:
    return row[0]


def _same_event(one: Stamp, other: Stamp) -> bool:
    return one.at == other.at and one.event == other.event


def stays_out(facts: UserFacts) -> UserFacts:
    """The facts of one linked to somebody who is out: being listed brings nobody back (U7)."""
    word = Word(Stamp(1, 1, INHERITED), INHERITED, False)
    return replace(facts, actives=remember(facts.actives, word))


def claim_of(facts: UserFacts, stands: Standing) -> Stamp:
    """The newest moment at which the subject laid claim to its address (D4)."""
    claim = run_start(facts.emails)
    for absence in stands.absences:
        if absence.back is not None and absence.back > claim:
            claim = absence.back
    return claim


def names_scope(scope: Scope, rule: ScopeRule, key: str) -> bool:
    """Whether words about this group or application belong to the connection's scope."""
    return scope.rule is rule and key in scope.keys
