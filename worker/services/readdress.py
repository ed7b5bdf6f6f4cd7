"""What another address rule would do to people, decided for real and rolled back (E9, G8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from domain.addressing import NewAddress
from domain.changes import ChangeEmail
from domain.consequences import consequences
from domain.inbox import Kind, Lane, Outcome
from domain.ports import ClaimedEvent, DrainWork, Result
from worker.services.apply import NewId, apply_batch
from worker.services.world import Work, load

#: Subjects whose locks a forecast holds at once, for as long as it takes to decide them.
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of one subject. mails: to whom a mail would go, with its kind."""

    change: NewAddress
    result: str
    detail: str
    mails: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Readdress:
    """`works` opens a unit of work; nothing of it is committed here."""

    works: Callable[[], AbstractContextManager[DrainWork]]
    new_id: NewId

    def foresee(self, connection: str, account: str, new: Sequence[NewAddress]) -> list[Forecast]:
        """One forecast for each, a part of them in each transaction."""
        found: list[Forecast] = []
        for first in range(0, len(new), AT_ONCE):
            found += self._part(connection, account, new[first : first + AT_ONCE])
        return found

    def _part(self, connection: str, account: str, new: Sequence[NewAddress]) -> list[Forecast]:
        with self.works() as work:
            events = [_event(connection, account, number, work) for number in range(len(new))]
            policy = work.policies(events)[connection]
            batch = [
                Work(event, (ChangeEmail(one.user, one.after, is_read_anew=True),), policy)
                for event, one in zip(events, new, strict=True)
            ]
            world = load(work.directory, batch)
            results = apply_batch(world, batch, now=work.now, new_id=self.new_id)
        mails: dict[str, list[tuple[str, str]]] = {}
        for follow in consequences(world.writes.effects):
            told = mails.setdefault(follow.person.user or "", [])
            if follow.wanted is not None:
                told.append((follow.wanted.address, follow.wanted.kind.value))
            if follow.note_to is not None:
                told.append((follow.note_to, "email_change_note"))
        return [
            _forecast(one, result, tuple(mails.get(one.user, ())))
            for one, result in zip(new, results, strict=True)
        ]


def _event(connection: str, account: str, number: int, work: DrainWork) -> ClaimedEvent:
    """An event that is nowhere stored, newer than every other."""
    return ClaimedEvent(
        id=-1 - number,
        account=account,
        connection=connection,
        feed="",
        delivery=0,
        ordinal=number,
        key=f"forecast{number}",
        type="",
        kind=Kind.USERS_CHANGE_EMAIL,
        lane=Lane.BULK.value,
        occurred_at=work.now,
        received_at=work.now,
        attempts=0,
        crashes=0,
        waiting_since=None,
        is_first_try=True,
    )


def _forecast(change: NewAddress, result: Result, mails: tuple[tuple[str, str], ...]) -> Forecast:
    told = result.reason if result.outcome in (None, Outcome.DEAD) else result.outcome
    return Forecast(change, told.value if told is not None else "", result.detail, mails)
