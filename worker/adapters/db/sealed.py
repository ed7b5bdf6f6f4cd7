"""Every sealed value of the database: renewed when keys rotate, or read to see that all open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from worker.adapters.db import bulk, outbound_rows, rows
from worker.adapters.db.api_rows import api_answers
from worker.adapters.db.directory_rows import accesses, reads
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.erasure_rows import erasure_keys
from worker.adapters.db.replay_rows import event_edits
from worker.adapters.db.scim_later_rows import scim_requests
from worker.adapters.vault import SealError, Vault

SEALED: Mapping[Table, tuple[str, ...]] = {
    rows.feed_secrets: ("ciphertext",),
    accesses: ("ciphertext",),
    reads: ("answer",),
    outbound_rows.endpoint_secrets: ("ciphertext",),
    rows.notices: ("secret",),
    rows.dead_letters: ("payload",),
    erasure_keys: ("ciphertext",),
    rows.deliveries: ("headers", "body"),
    api_answers: ("answer",),
    scim_requests: ("request", "answer"),
    event_edits: ("patch",),
}
#: Rows of one short transaction: nobody waits for the whole of it.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Walked:
    """One batch. unreadable: ids of the rows that no key opens; they stay as they are."""

    table: str
    count: int
    renewed: int
    unreadable: tuple[str, ...]


def renew_all(database: Database, vault: Vault) -> Iterator[Walked]:
    """Seal with the newest key whatever an older one sealed; to be repeated at will."""
    return _walk(database, vault.renewed)


def read_all(database: Database, vault: Vault) -> Iterator[Walked]:
    """Open everything and change nothing."""

    def opened(sealed: bytes) -> bytes:
        vault.open(sealed)
        return sealed

    return _walk(database, opened)


def _walk(database: Database, change: Callable[[bytes], bytes]) -> Iterator[Walked]:
    for table, columns in SEALED.items():
        after: Any = None
        while True:
            with translated(), database.begin() as connection:
                found = _next(connection, table, columns, after)
                if not found:
                    break
                walked, changed = _changed(table, found, change)
                if changed:
                    bulk.update(connection, table, changed)
                    connection.commit()
            after = found[-1]["id"]
            yield walked


def _next(
    connection: Connection, table: Table, columns: Sequence[str], after: Any
) -> list[dict[str, Any]]:
    wanted = select(table.c.id, *(table.c[name] for name in columns))
    if after is not None:
        wanted = wanted.where(table.c.id > after)
    # Locked, so that a notice that is sent meanwhile does not get its secret back.
    wanted = wanted.order_by(table.c.id).limit(AT_ONCE).with_for_update()
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _changed(
    table: Table, found: Sequence[dict[str, Any]], change: Callable[[bytes], bytes]
) -> tuple[Walked, list[dict[str, Any]]]:
    changed, unreadable = [], []
    for row in found:
        try:
            new = {
                name: change(value) if isinstance(value, bytes) else value
                for name, value in row.items()
            }
        except SealError:
            unreadable.append(str(row["id"]))
            continue
        if new != row:
            changed.append(new)
    return Walked(str(table.name), len(found), len(changed), tuple(unreadable)), changed
