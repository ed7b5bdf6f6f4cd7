"""Reconcile a connection with its IdP's directory: a page a step, a step a transaction (D18).

Whoever has the lease goes on where the last one stopped. No transaction is open while the IdP is
asked, and none of its pages is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.directories import (
    Directory,
    DirectoryError,
    Page,
    Read,
    ReadGroup,
    ReadPerson,
    UnaskableError,
)
from domain.errors import RefusedError
from domain.intake import StoredEvent
from domain.reconciliation import TRIES, FirstPage, Order, Phase, Run, Suspect
from domain.retry import GiveUp, decide_retry

#: People and groups that are asked after one by one in one step.
CONFIRMED_AT_ONCE = 10


class Reconciliations(Protocol):
    """Runs of the database. Each method is one transaction; those of a run insist on its lease.

    They give the run as it is then; None where the lease is another's by now, or it is over.
    """

    def begin(self, connection: str, order: Order) -> str:
        """A new run's id; raises RefusedError where one is under way."""
        ...

    def due(self) -> list[str]:
        """Runs that nobody is at and that may go on now."""
        ...

    def take(self, run: str) -> Run | None:
        """The run, for one lease; None where another has it, or it is over, or not due."""
        ...

    def let_go(self, run: Run) -> None:
        """Give the lease back."""
        ...

    def put_off(self, run: Run, why: str, wait: timedelta) -> None:
        """Try again after this wait."""
        ...

    def fail(self, run: Run, why: str) -> None:
        """It is over, and changed nothing more."""
        ...

    def keep_people(self, run: Run, page: Page[ReadPerson]) -> Run | None:
        """Keep a page of people, go on to the next, or to groups."""
        ...

    def keep_groups(self, run: Run, page: Page[ReadGroup]) -> Run | None:
        """Keep a page of groups, go on to the next, or to members."""
        ...

    def next_group(self, run: Run) -> str | None:
        """The group whose members are read next; None where all are."""
        ...

    def keep_members(self, run: Run, group: str, page: Page[str]) -> Run | None:
        """Keep a page of a group's members."""
        ...

    def members_read(self, run: Run, group: str, again: FirstPage | None, why: str) -> Run | None:
        """A group was read to its end, or cannot be: why. again: its first page, read anew."""
        ...

    def prove(self, run: Run, people: FirstPage, groups: FirstPage) -> Run | None:
        """Note what the lists prove."""
        ...

    def move_on(self, run: Run) -> Run | None:
        """On to the next phase."""
        ...

    def compare(self, run: Run) -> Run | None:
        """Compare a page of what was read with what we have, or the other way round."""
        ...

    def suspects(self, run: Run, limit: int) -> list[Suspect]:
        """Of what would be taken away the next that the IdP has not been asked after."""
        ...

    def confirm(
        self, run: Run, suspect: Suspect, read: Read[ReadPerson] | Read[ReadGroup] | None
    ) -> Run | None:
        """The IdP's own answer about one of them; None where it cannot be asked after it."""
        ...

    def apply(self, run: Run) -> tuple[Run | None, list[StoredEvent]]:
        """Say a page of differences as events."""
        ...

    def clear(self, run: Run) -> Run | None:
        """Forget some of what was read; None once the run is over."""
        ...


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The use case."""

    runs: Reconciliations
    directory_of: Callable[[str], Directory | None]
    ring: Callable[[list[StoredEvent]], None]
    random: Callable[[], float]
    monotonic: Callable[[], float]

    def begin(self, connection: str, order: Order) -> str:
        """A new run's id; raises RefusedError without access to the directory."""
        if self.directory_of(connection) is None:
            raise RefusedError(
                f"rosterd has no access to the directory of connection {connection}: give it with "
                "`rosterd connection access`"
            )
        return self.runs.begin(connection, order)

    def go_on(self, run: str, *, budget: timedelta) -> bool:
        """Steps of a run for about so long; whether any was made."""
        until = self.monotonic() + budget.total_seconds()
        held = self.runs.take(run)
        if held is None:
            return False
        while held is not None and self.monotonic() < until:
            held = self.step(held)
        if held is not None:
            self.runs.let_go(held)
        return True

    def step(self, run: Run) -> Run | None:
        """One step; the run after it, None where it is over, put off or another's."""
        try:
            return self._stepped(run)
        except DirectoryError as error:
            self._put_off(run, error)
            return None

    def _put_off(self, run: Run, error: DirectoryError) -> None:
        """What an IdP does not answer now is asked later; what it will not, ends the run."""
        answer = decide_retry(
            policy=TRIES,
            attempts=run.failures + 1,
            random=self.random,
            retry_after=error.retry_after,
        )
        if error.needs_operator or isinstance(answer, GiveUp):
            self.runs.fail(run, str(error))
        else:
            self.runs.put_off(run, str(error), answer.wait)

    def _stepped(self, run: Run) -> Run | None:
        match run.phase:
            case Phase.PEOPLE:
                return self.runs.keep_people(run, self._ask(run).people(run.cursor))
            case Phase.GROUPS:
                return self.runs.keep_groups(run, self._ask(run).groups(run.cursor))
            case Phase.MEMBERS:
                return self._read_members(run)
            case Phase.PROOF:
                return self._prove(run)
            case Phase.CONFIRMING:
                return self._confirm(run)
            case Phase.APPLYING:
                after, events = self.runs.apply(run)
                self.ring(events)
                return after
            case Phase.CLEARING:
                return self.runs.clear(run)
            case _:
                return self.runs.compare(run)

    def _ask(self, run: Run) -> Directory:
        directory = self.directory_of(run.connection)
        if directory is None:
            raise DirectoryError(
                "access to the directory was taken away: give it with `rosterd connection access`",
                needs_operator=True,
            )
        return directory

    def _read_members(self, run: Run) -> Run | None:
        group = self.runs.next_group(run)
        if group is None:
            return self.runs.move_on(run)
        directory = self._ask(run)
        try:
            page = directory.members(group, run.cursor)
        except DirectoryError:
            if run.failures and directory.group(group).found is None:
                return self.runs.members_read(run, group, None, "it was deleted meanwhile")
            raise
        after = self.runs.keep_members(run, group, page)
        if after is None or page.after is not None:
            return after
        if page.is_torn:
            return self.runs.members_read(after, group, None, "it changed while it was read")
        is_whole = run.cursor is None and bool(page.items)
        again = page if is_whole else directory.members(group)
        first = FirstPage.of(again.items, again.total, again.at)
        return self.runs.members_read(after, group, first, "")

    def _prove(self, run: Run) -> Run | None:
        """Look once more at where each list began."""
        directory = self._ask(run)
        people, groups = directory.people(), directory.groups()
        return self.runs.prove(
            run,
            FirstPage.of([one.key for one in people.items], people.total, people.at),
            FirstPage.of([one.key for one in groups.items], groups.total, groups.at),
        )

    def _confirm(self, run: Run) -> Run | None:
        """Whoever would lose something is asked after by name: a list may have passed by them."""
        suspects = self.runs.suspects(run, CONFIRMED_AT_ONCE)
        if not suspects:
            return self.runs.move_on(run)
        directory, after = self._ask(run), run
        for one in suspects:
            confirmed = self.runs.confirm(after, one, _asked(directory, one))
            if confirmed is None:
                return None
            after = confirmed
        return after


def _asked(directory: Directory, one: Suspect) -> Read[ReadPerson] | Read[ReadGroup] | None:
    """None of whom another feed knows by what is no id of the IdP's: that is no leaver."""
    try:
        return directory.person(one.key) if one.thing == "user" else directory.group(one.key)
    except UnaskableError:
        return None
