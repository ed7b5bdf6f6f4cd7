"""Importing people, groups and memberships by hand: batch by batch, each in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from domain.importing import Additions, Entry, Known, RefusedLineError, additions, entry_of


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: its number from 1, and what was in it, or why it cannot be read."""

    number: int
    fields: Mapping[str, object] | RefusedLineError


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not taken."""

    number: int
    code: str
    why: str


class ImportWork(Known, Protocol):
    """One batch's transaction over one account, which it has locked."""

    def learn(self, entries: Sequence[Entry]) -> None:
        """Lock and load whatever the entries may meet."""
        ...

    def add(self, new: Additions) -> None:
        """From here on it is known; written when the batch is done."""
        ...


class ImportStore(Protocol):
    """Opens the transactions of an import."""

    def change(self, work: Callable[[ImportWork], None]) -> None:
        """Do work in one transaction and write what was added; nothing of a dry run lasts."""
        ...


@dataclass(slots=True)
class Tally:
    """What an import came to so far. through: the last line that is decided for good."""

    through: int = 0
    added: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was committed."""

    lines: int
    refused: list[RefusedLine]


@dataclass(frozen=True, slots=True)
class Importing:
    """The use case. store: of a real run or a dry run."""

    store: ImportStore
    new_user: Callable[[], str]
    new_group: Callable[[], str]
    account: str
    batch_size: int

    def run(self, lines: Iterable[Line], tally: Tally) -> Iterator[Batch]:
        """Batch by batch; the tally holds what was committed, wherever it stops."""
        rest = iter(lines)
        while batch := list(islice(rest, self.batch_size)):
            yield self._batch(batch, tally)

    def _batch(self, lines: Sequence[Line], tally: Tally) -> Batch:
        parsed = [_parsed(line) for line in lines]
        told: list[tuple[Line, Additions | RefusedLineError]] = []

        def work(unit: ImportWork) -> None:
            told.clear()  # the transaction may be made again
            unit.learn([entry for entry in parsed if isinstance(entry, Entry)])
            told.extend(
                (line, self._decided(unit, entry))
                for line, entry in zip(lines, parsed, strict=True)
            )

        self.store.change(work)
        refused = [
            RefusedLine(line.number, what.code, str(what))
            for line, what in told
            if isinstance(what, RefusedLineError)
        ]
        _count(tally, [what for _, what in told])
        tally.through = lines[-1].number
        return Batch(len(lines), refused)

    def _decided(
        self, unit: ImportWork, entry: Entry | RefusedLineError
    ) -> Additions | RefusedLineError:
        if isinstance(entry, RefusedLineError):
            return entry
        try:
            new = additions(
                entry,
                unit,
                account=self.account,
                new_user=self.new_user(),
                new_group=self.new_group(),
            )
        except RefusedLineError as error:
            return error
        unit.add(new)
        return new


def _parsed(line: Line) -> Entry | RefusedLineError:
    if isinstance(line.fields, RefusedLineError):
        return line.fields
    try:
        return entry_of(line.fields)
    except RefusedLineError as error:
        return error


def _count(tally: Tally, told: Iterable[Additions | RefusedLineError]) -> None:
    for what in told:
        if isinstance(what, RefusedLineError):
            tally.refused[what.code] += 1
            continue
        tally.unchanged += what.is_nothing
        tally.added["users"] += what.person is not None
        tally.added["groups"] += what.group is not None
        tally.added["memberships"] += what.member is not None
