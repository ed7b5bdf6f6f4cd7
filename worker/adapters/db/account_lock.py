"""The account's row, locked: operators' changes of one account come one after the other (D5, 1)."""

from __future__ import annotations

from sqlalchemy import Connection, select

from domain.errors import NothingFoundError
from worker.adapters.db import rows


def lock_account(connection: Connection, account: str) -> None:
    """Wait for whoever changes the account; raises NothingFoundError if there is none."""
    table = rows.accounts
    mine = select(table.c.id).where(table.c.id == account).with_for_update(key_share=True)
    if connection.execute(mine).first() is None:
        raise NothingFoundError("account", account)
