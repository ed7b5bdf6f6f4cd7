"""The outbox in SQL: leases with fences, by the database's clock."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, select, update

from domain.consequences import NoticeKind
from domain.notices import DueNotice
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault


class SQLOutbox:
    """`Outbox` on both databases."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def claim(self, *, limit: int, lease: timedelta) -> list[DueNotice]:
        """See the port: `due_at` of a leased notice is the end of its lease."""
        table, accounts = rows.notices, rows.accounts
        with translated(), self._database.begin() as connection:
            now = database_now(connection)
            found = (
                connection.execute(
                    select(table, accounts.c.name.label("account"))
                    .join(accounts, accounts.c.id == table.c.account_id)
                    .where(table.c.due_at.is_not(None), table.c.due_at <= now)
                    .order_by(table.c.due_at)
                    .limit(limit)
                    .with_for_update(skip_locked=True, of=table)
                )
                .mappings()
                .all()
            )
            leased = [
                {"id": row["id"], "fence": row["fence"] + 1, "due_at": now + lease} for row in found
            ]
            bulk.update(connection, table, leased)
            connection.commit()
        return [
            DueNotice(
                id=row["id"],
                kind=NoticeKind(row["kind"]),
                address=row["address"],
                account=row["account"],
                token=self._vault.open(row["secret"]).decode() if row["secret"] else "",
                fence=row["fence"] + 1,
                attempts=row["attempts"],
            )
            for row in found
        ]

    def sent(self, notice: DueNotice) -> bool:
        """See the port."""
        return self._finish(notice, state="sent", wait=None, why=None, keeps_secret=False)

    def failed(self, notice: DueNotice, why: str, retry_in: timedelta | None) -> bool:
        """See the port."""
        state = "failed" if retry_in is None else "pending"
        return self._finish(notice, state=state, wait=retry_in, why=why, keeps_secret=True)

    def _finish(
        self,
        notice: DueNotice,
        *,
        state: str,
        wait: timedelta | None,
        why: str | None,
        keeps_secret: bool,
    ) -> bool:
        table = rows.notices

        def write(connection: Connection) -> bool:
            now = database_now(connection)
            values = {
                "state": state,
                "due_at": now + wait if wait is not None else None,
                "attempts": notice.attempts + 1,
                "last_error": why,
                "sent_at": now if state == "sent" else None,
            }
            if not keeps_secret:
                values["secret"] = None
            done = connection.execute(
                update(table)
                .where(table.c.id == notice.id, table.c.fence == notice.fence)
                .where(table.c.state == "pending")
                .values(values)
            )
            return done.rowcount == 1

        # A mail that was sent and is not noted is sent twice, so a lost connection is worth a try;
        # done already, the fence lets nothing pass, and only this answer is wrong.
        return self._database.change(write, is_repeatable=True)
