"""Tombstones: who was deleted for good is known by a digest only (U5, D16)."""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, select

from domain.keys import address_id
from domain.model import Person
from domain.values import Stamp
from worker.adapters.db import bulk
from worker.adapters.db.erasure_rows import erasure_keys, tombstones
from worker.adapters.db.mapping import stamp_from_bytes, stamp_to_bytes
from worker.adapters.vault import Vault


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), sha256).hex()


def stamps_of_buried(
    connection: Connection,
    vault: Vault | None,
    connections: Collection[str],
    users: Collection[str],
) -> dict[str, Stamp]:
    """Of these subjects the deleted ones, with their stamps; nothing is digested without any."""
    table, keys = tombstones, erasure_keys
    found = connection.execute(
        select(table.c.id, table.c.stamp, keys.c.ciphertext)
        .join(keys, keys.c.id == table.c.account_id)
        .where(bulk.among(table.c.connection_id, sorted(connections), connection))
    ).all()
    if not found or vault is None:
        return {}
    stamps = {row.id: row.stamp for row in found}
    told: dict[str, Stamp] = {}
    for sealed in {row.ciphertext for row in found}:
        key = vault.open(sealed)
        for user in users:
            stone = stamps.get(_digest(key, user))
            if stone is not None:
                told[user] = stamp_from_bytes(stone)
    return told


def digests_of(
    connection: Connection, vault: Vault, account: str, names: Collection[str], now: datetime
) -> list[str]:
    """Digests of names, as a proof keeps them: what bears one is found, and nobody is told it."""
    key = _key(connection, vault, account, now)
    return sorted(name_digest(key, name) for name in names)


def name_digest(key: bytes, name: str) -> str:
    """The digest of an address or an external id, however its letters are written."""
    return _digest(key, f"name:{name.casefold()}")


def known_key(connection: Connection, vault: Vault, account: str) -> bytes | None:
    """The key of an account in which somebody was deleted."""
    table = erasure_keys
    sealed = connection.execute(select(table.c.ciphertext).where(table.c.id == account)).scalar()
    return vault.open(sealed) if sealed is not None else None


def bury(
    connection: Connection,
    vault: Vault,
    person: Person,
    subject: str | None,
    stamp: Stamp,
    now: datetime,
) -> str:
    """A tombstone for a subject of the person, or for one whom no provider knew; its digest."""
    key = _key(connection, vault, person.account, now)
    row = {
        "id": _digest(key, subject or person.id),
        "account_id": person.account,
        "connection_id": None if subject is None else subject.partition(":")[0],
        "address": _digest(key, address_id(person.account, person.email)),
        "stamp": stamp_to_bytes(stamp),
        "made_at": now,
    }
    bulk.upsert(connection, tombstones, [row])
    return str(row["id"])


def _key(connection: Connection, vault: Vault, account: str, now: datetime) -> bytes:
    """The account's own key, made at its first deletion; the account is locked."""
    table = erasure_keys
    sealed = connection.execute(select(table.c.ciphertext).where(table.c.id == account)).scalar()
    if sealed is not None:
        return vault.open(sealed)
    made = os.urandom(32)
    row = {"id": account, "ciphertext": vault.seal(made), "created_at": now}
    bulk.insert(connection, table, [row])
    return made
