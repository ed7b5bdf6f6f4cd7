"""Whether a deletion holds: the whole database is searched for what must not be there (U5).

Nobody has to know whom to look for. Every text, sealed ones opened, is taken apart into what may be
a name, and each is digested by the account's key and held against the digests of the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, inspect, select, true

from domain.erasure import names_in
from worker.adapters.db import rows
from worker.adapters.db.burying import known_key, name_digest
from worker.adapters.db.erasure_rows import erasure_keys, erasures, tombstones
from worker.adapters.db.proving import Shown, one_erasure
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.db.sealed import SEALED
from worker.adapters.vault import SealError, Vault

#: Where ids of people stand, who have to be there: in `decisions` they only say that one was made.
BY_PERSON = "person_id"
#: Digests and keys, which a deletion leaves; what tells of no member of an account.
APART = frozenset(
    {
        *(tombstones.name, erasure_keys.name, erasures.name),
        *("accounts", "domains", "connections", "feeds", "feed_secrets", "endpoint_secrets"),
        *("operators", "account_operators", "operator_passwords", "sessions", "sign_in_tries"),
        *("tokens", "workers", "marks", "minutes", "receipts", "batch_markers", "breakers"),
    }
)
#: Who did something: operators and tokens, never the person as a member.
DOERS = frozenset({"actor", "made_by", "moved_by", "ended_by", "closed_by", "lease_by", "worker"})
#: Where ids of subjects stand; the only places in which short ones are told from other words.
OF_SUBJECTS = frozenset({"key", "user_key", "subject", "alias", "handle"})
AT_ONCE = 1_000
#: Words that were digested are remembered, so many of them.
REMEMBERED = 1_000_000

Searched = Callable[[str, int], None]


@dataclass(slots=True)
class Verdict:
    """What was found. left: table.column -> rows that should not be there.

    again: rows in which a name came back by something that is newer than the deletion (D16).
    """

    erasure: Shown
    rows: int = 0
    tables: int = 0
    unreadable: int = 0
    left: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing is left."""
        return not self.left

    def as_dict(self) -> Shown:
        """For JSON."""
        return {
            "erasure": self.erasure["id"],
            "holds": self.holds,
            "rows": self.rows,
            "tables": self.tables,
            "unreadable": self.unreadable,
            "left": self.left,
            "again": self.again,
        }


def verify(
    connection: Connection,
    vault: Vault,
    id_: str,
    searched: Searched = lambda _table, _rows: None,
) -> Verdict:
    """Search every table; raises NothingFoundError for an erasure that never was."""
    erasure = one_erasure(connection, id_)
    key = known_key(connection, vault, erasure["account"]) or b""
    names = _Names(key, frozenset(erasure["names"]), frozenset(erasure["short"]))
    verdict = Verdict(erasure)
    untimed: dict[str, int] = {}
    there = set(inspect(connection).get_table_names())
    for table in rows.metadata.sorted_tables:
        if table.name in APART or table.name not in there:
            continue
        verdict.tables += 1
        for row in _rows(connection, table, erasure["account"]):
            verdict.rows += 1
            _judge(row, table, vault, names, verdict, untimed)
        searched(str(table.name), verdict.rows)
    # Without times: by something newer it came back, else it never went.
    into = verdict.again or verdict.left
    for place, count in untimed.items():
        into[place] = into.get(place, 0) + count
    return verdict


class _Names:
    """Whether a text bears a name of whoever was deleted."""

    def __init__(self, key: bytes, long: frozenset[str], short: frozenset[str]) -> None:
        self._key = key
        self._long = long
        self._short = short
        self._known: dict[str, bool] = {}

    def are_in(self, column: str, text: str) -> bool:
        """Whether any of it is; a short external id only where ids of subjects stand."""
        if column in OF_SUBJECTS and self._short and self._mark_of(text) in self._short:
            return True
        return any(self._is_one(name) for name in names_in(text))

    def _mark_of(self, name: str) -> str:
        return name_digest(self._key, name)

    def _is_one(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            known = self._known[name] = self._mark_of(name) in self._long
        return known


def _rows(connection: Connection, table: Table, account: str) -> Iterator[RowMapping]:
    """What tells of an account: another's may know somebody of the same name."""
    statement = select(table).where(_of_account(table, account))
    yield from connection.execute(statement, execution_options={"yield_per": AT_ONCE}).mappings()


def _of_account(table: Table, account: str) -> ColumnElement[bool]:
    columns = table.c
    if table is rows.addresses:
        return columns.id.startswith(f"{account}:", autoescape=True)
    if "account_id" in columns:
        return (columns.account_id == account) | columns.account_id.is_(None)
    connections, feeds, events = rows.connections, rows.feeds, rows.events
    mine = select(connections.c.id).where(connections.c.account_id == account)
    if "connection_id" in columns:
        return columns.connection_id.in_(mine)
    if "feed_id" in columns:
        return columns.feed_id.in_(select(feeds.c.id).where(feeds.c.connection_id.in_(mine)))
    if "event_id" in columns:
        return columns.event_id.in_(select(events.c.id).where(events.c.account_id == account))
    if "resource_id" in columns:
        its = select(scim_resources.c.id).where(scim_resources.c.account_id == account)
        return columns.resource_id.in_(its)
    return true()


def _judge(
    row: RowMapping,
    table: Table,
    vault: Vault,
    names: _Names,
    verdict: Verdict,
    untimed: dict[str, int],
) -> None:
    sealed = SEALED.get(table, ())
    for name, value in row.items():
        if not isinstance(value, str | bytes) or name in DOERS:
            continue
        place = f"{table.name}.{name}"
        is_by_person = name == BY_PERSON and table is not rows.decisions
        if is_by_person and value == verdict.erasure["person"]:
            verdict.left[place] = verdict.left.get(place, 0) + 1
            continue
        text = _text(value, vault, is_sealed=name in sealed)
        if text is None:
            verdict.unreadable += 1
        elif names.are_in(name, text):
            into = _where(row, verdict, untimed)
            into[place] = into.get(place, 0) + 1


def _where(row: RowMapping, verdict: Verdict, untimed: dict[str, int]) -> dict[str, int]:
    """By the row's newest time: told again since, or left."""
    times = [value for value in row.values() if isinstance(value, datetime)]
    if not times:
        return untimed
    return verdict.again if max(times) > verdict.erasure["made_at"] else verdict.left


def _text(value: str | bytes, vault: Vault, *, is_sealed: bool) -> str | None:
    if isinstance(value, str):
        return value
    if not is_sealed:
        return value.decode("utf-8", "replace")
    try:
        return vault.open(value).decode("utf-8", "replace") if value else ""
    except SealError:
        return None
