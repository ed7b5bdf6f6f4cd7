"""The outbox in SQL: leases with fences, by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Update,
    case,
    func,
    literal,
    tuple_,
    update,
)

from domain.consequences import NoticeKind
from domain.notices import DueNotice
from domain.wording import Wording
from worker.adapters.db import bulk, rows
from worker.adapters.db.deliverability import clear_mark, mark_person
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.notice_turns import Turns
from worker.adapters.db.templates import wordings_of
from worker.adapters.db.types import Moment
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

#: Attempts are counted in 16 bits; a server that is away for months must not break that.
MOST_ATTEMPTS = 30_000
#: Their arrival proves that a person can be reached; a note to a former address does not (E7).
PROVING = frozenset({NoticeKind.INVITATION, NoticeKind.EMAIL_CHANGE})


class SQLOutbox:
    """`Outbox` on both databases."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._turns = Turns()

    def claim(self, *, limit: int, lease: timedelta) -> list[DueNotice]:
        """See the port: `due_at` of a leased notice is the end of its lease."""
        table = rows.notices
        with translated(), self._database.begin() as connection:
            now = database_now(connection)
            found = self._turns.due(connection, now, limit)
            leased = [
                {"id": row["id"], "fence": row["fence"] + 1, "due_at": now + lease} for row in found
            ]
            bulk.update(connection, table, leased)
            wordings = wordings_of(connection, {row["account_id"] for row in found})
            connection.commit()
        return [self._notice(row, wordings) for row in found]

    def _notice(
        self, row: RowMapping, wordings: dict[tuple[str, NoticeKind], Wording]
    ) -> DueNotice:
        kind = NoticeKind(row["kind"])
        profile = orjson.loads(row["profile"] or b"{}")
        content = orjson.loads(row["content"] or b"{}")
        return DueNotice(
            id=row["id"],
            kind=kind,
            address=row["address"],
            account=row["account"] or "",
            token=self._vault.open(row["secret"]).decode() if row["secret"] else "",
            fence=row["fence"] + 1,
            attempts=row["attempts"],
            person=row["person_id"],
            account_id=row["account_id"],
            name=profile.get("display_name") or profile.get("given_name") or "",
            expires_at=row["expires_at"],
            wording=wordings.get((row["account_id"], kind)),
            headline=content.get("headline", ""),
            details=tuple(content.get("details", ())),
            concerns=content.get("account", ""),
            is_marked=bool(row["is_marked"]),
        )

    def sent(self, notices: Sequence[DueNotice]) -> frozenset[str]:
        """See the port."""
        table = rows.notices
        held = tuple_(table.c.id, table.c.fence).in_([(one.id, one.fence) for one in notices])

        def write(connection: Connection) -> frozenset[str]:
            done = {"state": "sent", "due_at": None, "last_error": None, "secret": None}
            tried = case(
                (table.c.attempts < MOST_ATTEMPTS, table.c.attempts + 1), else_=table.c.attempts
            )
            finished = update(table).where(held, table.c.state == "pending").returning(table.c.id)
            values = {**done, "content": None, "attempts": tried, "sent_at": _clock(connection)}
            kept = frozenset(connection.scalars(finished.values(**values)))
            for notice in notices:
                if notice.is_marked and notice.kind in PROVING and notice.id in kept:
                    clear_mark(connection, notice.person)
            return kept

        # A mail that was sent and is not noted is sent twice, so a lost connection is worth a try;
        # done already, the fence lets nothing pass, and only this answer is wrong.
        return self._database.change(write, is_repeatable=True)

    def failed(
        self, notice: DueNotice, why: str, retry_in: timedelta | None, *, is_refused: bool
    ) -> bool:
        """See the port."""

        def write(connection: Connection) -> bool:
            now = database_now(connection)
            state = "pending" if retry_in is not None else _lost(notice)
            due_at = now + retry_in if retry_in is not None else None
            if not _finish(connection, notice, {"state": state, "due_at": due_at}, why):
                return False
            if is_refused and notice.person:
                mark_person(
                    connection,
                    account=notice.account_id,
                    person=notice.person,
                    address=notice.address,
                    why=why,
                    actor="mail",
                    now=now,
                )
            return True

        return self._database.change(write, is_repeatable=True)

    def release(self, notices: list[DueNotice]) -> None:
        """See the port."""

        def write(connection: Connection) -> None:
            now = database_now(connection)
            for notice in notices:
                connection.execute(_held(notice).values(due_at=now))

        if notices:
            self._database.change(write, is_repeatable=True)


def _clock(connection: Connection) -> ColumnElement[datetime]:
    """The database's clock inside the statement that writes it: a question less for each mail."""
    if connection.dialect.name == "postgresql":
        return func.clock_timestamp()
    return literal(database_now(connection), Moment)


def _finish(
    connection: Connection,
    notice: DueNotice,
    values: dict[str, object],
    why: str | None = None,
) -> bool:
    """Write what became of a try; False where the lease was lost."""
    attempts = min(notice.attempts + 1, MOST_ATTEMPTS)
    done = connection.execute(
        _held(notice).values(**{"attempts": attempts, "last_error": why, **values})
    )
    return done.rowcount == 1


def _lost(notice: DueNotice) -> str:
    """Somebody waits for a link: that failed until it is sent again. A note is not repeated."""
    return "failed" if notice.kind in PROVING else "undelivered"


def _held(notice: DueNotice) -> Update:
    table = rows.notices
    return (
        update(table)
        .where(table.c.id == notice.id, table.c.fence == notice.fence)
        .where(table.c.state == "pending")
    )
