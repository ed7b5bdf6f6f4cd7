"""Proofs of permanent deletion: what was done, kept beside the tombstones (U5, D16)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, select

from domain.erasure import Ledger
from domain.errors import NothingFoundError
from domain.model import Person
from worker.adapters.db import bulk
from worker.adapters.db.access_history import Deed, is_kept
from worker.adapters.db.burying import digests_of
from worker.adapters.db.erasure_rows import erasures
from worker.adapters.vault import Vault, new_id

Shown = dict[str, Any]
#: A shorter external id is found in texts that mean something else, too: it is looked for in the
#: columns of ids only.
TELLING = 6


@dataclass(frozen=True, slots=True)
class Proven:
    """One deletion. stones: digests of its tombstones; names: what must not be found again."""

    person: Person
    stones: Sequence[str]
    names: Collection[str]
    ledger: Ledger
    deed: Deed


def keep_proof(connection: Connection, vault: Vault, proven: Proven) -> str:
    """Write the proof in the transaction of the deletion; its id."""
    person, deed = proven.person, proven.deed
    made = new_id("era")
    if not is_kept(connection):
        return made
    names = {name for name in proven.names if len(name) >= TELLING}
    long, short = (
        digests_of(connection, vault, person.account, some, deed.at)
        for some in (names, set(proven.names) - names)
    )
    proof = {
        "tables": {name: dict(sorted(its.items())) for name, its in _sorted(proven.ledger)},
        "tombstones": sorted(proven.stones),
        "names": long,
        "short": short,
    }
    row = {
        "id": made,
        "account_id": person.account,
        "person_id": person.id,
        "made_at": deed.at,
        "actor": deed.actor,
        "reason": deed.reason,
        "proof": orjson.dumps(proof),
    }
    bulk.insert(connection, erasures, [row])
    return made


def _sorted(ledger: Ledger) -> list[tuple[str, dict[str, int]]]:
    return sorted(ledger.done.items())


def erasures_page(
    connection: Connection,
    accounts: Collection[str] | None,
    *,
    after: str = "",
    limit: int = 100,
    person: str | None = None,
) -> list[Shown]:
    """Deletions of these accounts, None for all, in the order of their ids."""
    table = erasures
    statement = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
    if accounts is not None:
        statement = statement.where(bulk.among(table.c.account_id, sorted(accounts), connection))
    if person is not None:
        statement = statement.where(table.c.person_id == person)
    return [shown(row) for row in connection.execute(statement).mappings()]


def one_erasure(connection: Connection, id_: str) -> Shown:
    """A deletion with its proof; raises NothingFoundError."""
    table = erasures
    row = connection.execute(select(table).where(table.c.id == id_)).mappings().first()
    if row is None:
        raise NothingFoundError("erasure", id_)
    return shown(row)


def shown(row: RowMapping) -> Shown:
    """A row as it is told."""
    return {
        "id": row["id"],
        "account": row["account_id"],
        "person": row["person_id"],
        "made_at": row["made_at"],
        "actor": row["actor"],
        "reason": row["reason"],
        **orjson.loads(row["proof"]),
    }
