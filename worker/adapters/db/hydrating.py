"""What is read at IdPs for events that say too little, in SQL: questions, leases, answers.

A question is locked after the events of a drain and after its connection's access, before anything
of the directory; an answer wakes its events like whatever else they could wait for.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, select, update

from domain.directories import Found, Read, ReadGroup, ReadMembership, ReadPerson
from domain.hydration import (
    APART,
    MEMBERSHIPS,
    Answer,
    Wanted,
    What,
    changes_of,
    pair_of,
    read_id,
    sorted_by,
    when_read,
)
from domain.inbox import Kind, Lane
from domain.questions import AT_ONCE, Later, Question, Rest, next_slot
from worker.adapters.db import bulk, rows
from worker.adapters.db.answers import RANKS, opened, sealed
from worker.adapters.db.directory_rows import accesses, reads
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

_OLD_AT_ONCE = 1_000
#: Database connections that all who ask share in a process: a drain beside them needs some, too.
TURNS = 4
#: What an address of a group was found to be, whoever asked; a question under way stays as it is.
_NOTED = (
    "ON CONFLICT (id) DO UPDATE SET answer = excluded.answer, began_at = excluded.began_at, "
    "true_at = excluded.true_at WHERE directory_reads.due_at IS NULL"
)


class SQLQuestions:
    """`Questions` on both databases."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._turns = threading.BoundedSemaphore(TURNS)

    def due(self) -> list[str]:
        """See the port."""
        with self._turns, translated(), self._database.read() as sql:
            now = database_now(sql)
            waits = select(reads.c.id).where(
                reads.c.connection_id == accesses.c.id,
                reads.c.due_at.is_not(None),
                reads.c.due_at <= now,
            )
            rests = accesses.c.rests_until
            table = rows.connections
            found = (
                select(accesses.c.id)
                .join(table, table.c.id == accesses.c.id)
                .where(table.c.state == "active", rests.is_(None) | (rests <= now))
                .where(waits.exists())
                .order_by(accesses.c.id)
            )
            return list(sql.scalars(found))

    def claim(self, connection: str, *, lease: timedelta) -> Question | Later | None:
        """See the port."""
        with self._turns, translated(), self._database.begin() as sql:
            access = _locked(sql, connection)
            now = database_now(sql)
            if access is None or (access.rests_until is not None and access.rests_until > now):
                return None
            most = 1 if access.failures else AT_ONCE
            if _in_hand(sql, connection, now) >= most:
                return None
            wait, following = next_slot(access.next_at, now)
            row = _next(sql, connection, now)
            if row is None:
                return None
            if wait > timedelta(0):
                return Later(wait)
            fence, until = row["fence"] + 1, now + lease
            mine = update(reads).where(reads.c.id == row["id"])
            sql.execute(mine.values(fence=fence, leased_until=until, due_at=until, asked_at=now))
            _set_access(sql, connection, next_at=following)
            sql.commit()
            what = What(row["what"])
            return Question(row["id"], connection, what, row["subject"], fence, row["attempts"])

    def answered(self, question: Question, read: Read[Found]) -> list[tuple[Kind, Lane]] | None:
        """See the port."""

        def write(sql: Connection) -> list[tuple[Kind, Lane]] | None:
            _locked(sql, question.connection)
            row = _held(sql, question)
            if row is None:
                return None
            now, began = database_now(sql), row["asked_at"]
            is_wanted_again = row["wanted_at"] >= began
            again = now + (APART if question.what in MEMBERSHIPS else timedelta(0))
            mine = update(reads).where(reads.c.id == question.id)
            former = self._former(row, read.found)
            kept = {"answer": sealed(read.found, former, self._vault), "true_at": read.at}
            sql.execute(
                mine.values(
                    **kept,
                    began_at=began,
                    leased_until=None,
                    due_at=again if is_wanted_again else None,
                    attempts=0,
                    last_error=None,
                )
            )
            good = {"failures": 0, "rests_until": None, "last_error": None}
            _set_access(sql, question.connection, answered_at=now, needs_operator=False, **good)
            if question.what is What.MEMBERSHIP_AT and isinstance(read.found, ReadMembership):
                self._note_group(sql, question, read.found.group, row, read.at)
            return _wake(sql, question, Answer(read.found, began, read.at), now)

        with self._turns:
            return self._database.change(write, is_repeatable=True)

    def _former(self, row: RowMapping | None, found: Found | None) -> str:
        """Whoever else was found under an address the last time that somebody else was."""
        before = opened(row, self._vault) if row is not None and row["answer"] is not None else None
        if before is None:
            return ""
        now = found.key if isinstance(found, ReadPerson | ReadGroup) else ""
        was = before.found.key if isinstance(before.found, ReadPerson | ReadGroup) else ""
        return was if was not in ("", now) else before.former

    def _note_group(
        self, sql: Connection, question: Question, group: ReadGroup, row: RowMapping, at: datetime
    ) -> None:
        """Remember whose address it is: once the group is gone, nobody tells (`onward`)."""
        address = pair_of(question.key)[0]
        key = read_id(question.connection, What.GROUP_AT, address)
        known = sql.execute(select(reads).where(reads.c.id == key).with_for_update())
        former = self._former(known.mappings().first(), group)
        noted = {
            "id": key,
            "connection_id": question.connection,
            "what": What.GROUP_AT.value,
            "subject": address,
            "rank": row["rank"],
            "wanted_at": row["wanted_at"],
            "fence": 0,
            "attempts": 0,
            "began_at": row["asked_at"],
            "true_at": at,
            "answer": sealed(group, former, self._vault),
        }
        bulk.insert(sql, reads, [noted], conflict=_NOTED)

    def unanswered(
        self, question: Question, why: str, *, wait: timedelta, rest: Rest | None
    ) -> bool:
        """See the port."""

        def write(sql: Connection) -> bool:
            access = _locked(sql, question.connection)
            if _held(sql, question) is None:
                return False
            now = database_now(sql)
            mine = update(reads).where(reads.c.id == question.id)
            put_off = {"due_at": now + wait, "leased_until": None, "last_error": why}
            sql.execute(mine.values(**put_off, attempts=question.attempts + 1))
            if access is not None and rest is not None:
                failures = access.failures + 1
                _set_access(
                    sql,
                    question.connection,
                    failures=failures,
                    rests_until=now + rest.wait(failures),
                    last_error=why,
                    needs_operator=rest.needs_operator,
                )
            return True

        with self._turns:
            return self._database.change(write, is_repeatable=True)


def retain_reads(database: Database, *, days: int) -> int:
    """Delete answers older than that which nobody asks for anew; how many went.

    Whose address a group's is stays known: nobody tells once the group is gone.
    """
    gone = 0
    while True:
        with translated(), database.begin() as sql:
            old = reads.c.began_at <= database_now(sql) - timedelta(days=days)
            lasts = reads.c.what == What.GROUP_AT.value
            chosen = select(reads.c.id).where(old, reads.c.due_at.is_(None), ~lasts)
            ids = list(sql.scalars(chosen.limit(_OLD_AT_ONCE)))
            sql.execute(delete(reads).where(bulk.among(reads.c.id, ids, sql)))
            sql.commit()
        gone += len(ids)
        if len(ids) < _OLD_AT_ONCE:
            return gone


def _locked(sql: Connection, connection: str) -> Any:
    mine = select(accesses).where(accesses.c.id == connection)
    return sql.execute(mine.with_for_update()).first()


def _set_access(sql: Connection, connection: str, **values: Any) -> None:
    sql.execute(update(accesses).where(accesses.c.id == connection).values(**values))


def _in_hand(sql: Connection, connection: str, now: datetime) -> int:
    mine = (reads.c.connection_id == connection) & (reads.c.leased_until > now)
    counted = select(func.count()).select_from(reads).where(mine)
    return int(sql.execute(counted).scalar_one())


def _next(sql: Connection, connection: str, now: datetime) -> RowMapping | None:
    """Rank by rank, as the index has them; of each the newest subject first (D10)."""
    for rank in sorted(RANKS.values()):
        row = sql.execute(_due(connection, rank, now)).mappings().first()
        if row is not None:
            return row
    return None


def _due(connection: str, rank: int, now: datetime) -> Select[Any]:
    return (
        select(reads)
        .where(reads.c.connection_id == connection, reads.c.rank == rank)
        .where(reads.c.due_at.is_not(None), reads.c.due_at <= now)
        .order_by(reads.c.wanted_at.desc())
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _held(sql: Connection, question: Question) -> RowMapping | None:
    """The row, if the lease is still this one's."""
    mine = select(reads).where(reads.c.id == question.id, reads.c.fence == question.fence)
    return sql.execute(mine.with_for_update()).mappings().first()


def _wake(
    sql: Connection, question: Question, answer: Answer, now: datetime
) -> list[tuple[Kind, Lane]]:
    """Whoever waits for this answer is due, in the lane of what it says (D10)."""
    events, waits = rows.events, rows.waits
    waiting = (
        select(events.c.id, events.c.kind, events.c.lane)
        .join(waits, waits.c.event_id == events.c.id)
        .where(waits.c.key == when_read(question.id), events.c.state == "waiting")
        .where(events.c.received_at < answer.began_at)
        .order_by(events.c.id)
        .with_for_update(of=events)
    )
    changes = changes_of(Wanted(question.what, question.key), answer)
    woken = []
    for event in sql.execute(waiting).all():
        kind, lane = sorted_by(changes, Kind(event.kind), Lane(event.lane))
        woken.append({"id": event.id, "kind": kind.value, "lane": lane.value, "due_at": now})
    bulk.update(sql, events, woken)
    return sorted({(Kind(row["kind"]), Lane(row["lane"])) for row in woken})
