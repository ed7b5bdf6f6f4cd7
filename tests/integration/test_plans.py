"""D7: whatever statement a drain or a sweep says, an index answers it, however full the tables.

The statements are not listed here: they are overheard while a drain does everything it can do,
so that a new one is under test from its first day.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from domain.replays import Selection
from tests.harness import Feed, Rosterd

#: Rows of what has ended, in each of the tables that grow. The long form: a million.
ROWS = int(os.environ.get("ROSTERD_TEST_ROWS", "50000"))
GROWING = "events|deliveries|attempts|users|people|addresses|memberships|waits"
_SCAN = re.compile(rf"Seq Scan on ({GROWING})\b")

FILL = {
    "deliveries": "(id, feed_id, received_at, headers, body, body_digest, is_cut) SELECT -i, 'f',"
    " now(), '', '', '', false",
    "events": "(account_id, connection_id, feed_id, delivery_id, ordinal, digest, content_digest,"
    " external_id, type, subject, kind, lane, occurred_at, received_at, is_clamped, state,"
    " attempts, crashes) SELECT 'a', 'c', 'f', -i, 0, decode(md5(i::text), 'hex'), '', i::text,"
    " 't', 's', 'users.create', 'standard', now(), now(), false, 'ended', 0, 0",
    "attempts": "(event_id, at, outcome, detail, worker) SELECT -i, now(), 'applied', '', 'w'",
    "users": "(id, account_id, connection_id, key, facts) SELECT 'c:' || i, 'a', 'c', i::text, ''",
    "people": "(id, account_id, email, requested, state, claim, is_accepted, has_address, profile,"
    " role, is_break_glass) SELECT 'p' || i, 'a', i || '@x', i || '@x', 'active', '', true, true,"
    " '', 'member', false",
    "addresses": "(id, person_id) SELECT 'a:' || i, 'p' || i",
    "memberships": "(id, connection_id, group_key, user_key, stamp, is_member)"
    " SELECT 'c:g:' || i, 'c', 'g' || mod(i, 100), i::text, '', true",
    "waits": "(event_id, key) SELECT -i, 'k' || i",
}


@contextmanager
def overheard(rosterd: Rosterd) -> Iterator[dict[str, Any]]:
    """Every statement said meanwhile, with one set of its parameters."""
    said: dict[str, Any] = {}
    writer: Engine = rosterd.parts.database._writer

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        one = parameters[0] if isinstance(parameters, list) and parameters else parameters
        said.setdefault(statement, one)

    event.listen(writer, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(writer, "before_cursor_execute", hear)


def everything(rosterd: Rosterd, feed: Feed) -> None:
    """All kinds of events and outcomes: applied, waiting, dead, retried, replayed, swept."""
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "one"})
    for i in range(4):
        rosterd.hire(feed, f"u{i}", f"u{i}@example.com")
    rosterd.hire(feed, "u9", "u9@forbidden.example")
    rosterd.hire(feed, "u8", "u1@example.com")
    for type_, data in (
        ("group.member_added", {"group_id": "g1", "user_id": "u1"}),
        ("group.member_added", {"group_id": "g1", "user_id": "nobody"}),
        ("group.member_removed", {"group_id": "g1", "user_id": "u1"}),
        ("group.members_replaced", {"group_id": "g1", "user_ids": ["u1", "u2"]}),
        ("user.email_changed", {"id": "u1", "email": "other@example.com"}),
        ("user.suspended", {"id": "u2"}),
        ("user.reactivated", {"id": "u2"}),
        ("group.deleted", {"id": "g1"}),
    ):
        rosterd.tell(feed, type_, data)
    rosterd.allow("forbidden.example")
    rosterd.parts.replay.start(Selection(account=rosterd.account_id), actor="t", reason="t")
    rosterd.drain()
    rosterd.parts.sweep.run()


def plan(connection: Connection, statement: str, parameters: Any) -> str:
    """What the database would do; "" for what it cannot explain."""
    if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", statement):
        return ""
    found = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters or None)
    return "\n".join(row[0] for row in found)


def scans_a_table(plan: str) -> bool:
    """A bare "is there any row" may look at the first one: a limit without a filter."""
    return bool(_SCAN.search(plan)) and not ("Limit" in plan and "Filter" not in plan)


def fill(connection: Connection) -> None:
    """Grow the tables; statistics as autovacuum would have them."""
    for table, rows in FILL.items():
        statement = f"INSERT INTO {table} {rows} FROM generate_series(1, {ROWS}) AS i"
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"ANALYZE {table}")


@pytest.mark.timeout(600)
def test_d7_no_statement_of_a_drain_scans_a_table_that_grows(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        with overheard(rosterd) as said:
            everything(rosterd, feed)
        with rosterd.parts.database.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            for is_full in (False, True):
                if is_full:
                    fill(connection)
                # On small tables a scan is right; forbid it and see whether an index serves.
                switch = "on" if is_full else "off"
                connection.exec_driver_sql(f"SET LOCAL enable_seqscan = {switch}")
                plans = {s: plan(connection, s, p) for s, p in said.items()}
                scans = {s: p for s, p in plans.items() if scans_a_table(p)}
                assert not scans, "\n\n".join(f"{s}\n{p}" for s, p in scans.items())
        assert sum(1 for p in plans.values() if p) > 25
    rosterd.close()
