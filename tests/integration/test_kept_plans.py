"""D7: a plan that was made while the tables were empty serves them just as well when they are full.

Statements that the driver keeps are planned once a connection (`worker/adapters/db/direct.py`),
and on a new installation that is before anybody is in the directory. Nobody analyses the tables
here: PostgreSQL makes no plan anew by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from psycopg.pq import ExecStatus
from psycopg.sql import Literal

from tests.harness import Feed, Rosterd
from tests.integration.test_plans import FILL, overheard, rows_taken
from worker.adapters.db import direct
from worker.adapters.db.filling import fill_ended, fill_people, vacuumed

#: What a statement about one or two people may take in hand.
FEW = 200


@pytest.fixture
def rosterd_pg(postgres_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        yield rosterd
    rosterd.close()


def flow(rosterd: Rosterd, feed: Feed, name: str) -> None:
    """Somebody comes, joins, moves, waits, is refused, and leaves."""
    group, user, other = f"g-{name}", f"u-{name}", f"v-{name}"
    rosterd.tell(feed, "group.upserted", {"id": group, "name": f"Crew {name}"})
    rosterd.hire(feed, user, f"{user}@example.com")
    rosterd.hire(feed, other, f"{user}@example.com")
    for type_, data in (
        ("group.member_added", {"group_id": group, "user_id": user}),
        ("group.member_added", {"group_id": group, "user_id": "nobody"}),
        ("user.email_changed", {"id": user, "email": f"new-{user}@example.com"}),
        ("user.suspended", {"id": user}),
        ("user.reactivated", {"id": user}),
        ("group.member_removed", {"group_id": group, "user_id": user}),
    ):
        rosterd.tell(feed, type_, data)


def fill(rosterd: Rosterd, feed: Feed, count: int) -> None:
    """Everything that grows, of the same connection and account, and nobody tells the planner."""
    database = rosterd.parts.database
    fill_ended(database, feed.connection, count, is_told=False)
    fill_people(database, feed.connection, count, is_told=False)
    with database.begin() as sql:
        for table, rows in FILL.items():
            # All that is open or waits, too: those are the indexes that look good while empty.
            shape = rows.replace("CASE mod(i, 10) WHEN 0", "CASE mod(i, 1) WHEN 0")
            sql.exec_driver_sql(
                f"INSERT INTO {table} {shape} FROM generate_series(1, {count}) AS i"
            )
        sql.exec_driver_sql("UPDATE people SET account_id = (SELECT id FROM accounts LIMIT 1)")
        sql.exec_driver_sql(
            "UPDATE events SET state = 'waiting', due_at = now() + interval '1 day'"
            f" WHERE id <= {count} AND state = 'ended'"
        )
        sql.commit()


def kept_by(rosterd: Rosterd) -> dict[str, str]:
    """Names of the statements that this thread's session has prepared, by their texts."""
    ask = "SELECT statement, name FROM pg_prepared_statements"
    with rosterd.parts.kept_connections.read() as sql:
        return {row.statement: row.name for row in sql.exec_driver_sql(ask)}


def looked_at(rosterd: Rosterd, said: dict[str, Any]) -> int:
    """Rows that the worst of the kept plans takes in hand, kept or not, for what was asked once."""
    kept = kept_by(rosterd)
    with rosterd.parts.kept_connections.read() as sql:
        raw: Any = sql.connection.dbapi_connection
        return max(
            _rows(raw.pgconn, name, raw, said[statement])
            for statement, name in kept.items()
            if said.get(statement)
        )


def _rows(session: Any, name: str, raw: Any, given: Sequence[Any]) -> int:
    """Beside the driver, which lets go of all statements where it sees a ROLLBACK."""
    values = ", ".join(Literal(one).as_string(raw) for one in given)
    session.exec_(b"BEGIN; SET LOCAL plan_cache_mode = force_generic_plan")
    # What the flow made is made again by this.
    session.exec_(b"DELETE FROM notices WHERE link_id IS NOT NULL")
    session.exec_(b"DELETE FROM links WHERE id LIKE 'lnk%'")
    told = session.exec_(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name} ({values})".encode())
    session.exec_(b"ROLLBACK")
    assert told.status == ExecStatus.TUPLES_OK, told.error_message
    return rows_taken(json.loads(told.get_value(0, 0))[0]["Plan"])


@pytest.mark.timeout(300)
def test_d7_plans_of_empty_tables_read_no_more_of_full_ones(
    rosterd_pg: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "PLANS_SECONDS", 1e9)
    feed = rosterd_pg.account()
    with overheard(rosterd_pg) as said:
        flow(rosterd_pg, feed, "first")
    assert len(kept_by(rosterd_pg)) > 10, "also behind a claim that found nothing"
    fill(rosterd_pg, feed, 20_000)
    assert looked_at(rosterd_pg, said) < FEW


@pytest.mark.timeout(300)
def test_d7_a_plan_that_no_longer_fits_is_not_kept_for_long(
    rosterd_pg: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tables that are known to be empty any index looks as good as another, and so does all."""
    monkeypatch.setattr(direct, "PLANS_SECONDS", 1e9)
    feed = rosterd_pg.account()
    vacuumed(rosterd_pg.parts.database)
    with overheard(rosterd_pg) as said:
        flow(rosterd_pg, feed, "first")
    fill(rosterd_pg, feed, 2_000)
    assert looked_at(rosterd_pg, said) > 2_000, "or there would be no reason to plan anew"
    monkeypatch.setattr(direct, "PLANS_SECONDS", 0.0)
    with rosterd_pg.parts.kept_connections.begin():
        pass
    assert looked_at(rosterd_pg, said) < FEW


def test_f23_behind_a_pooler_that_hands_sessions_on_nothing_is_kept_and_nothing_lost(
    rosterd_pg: Rosterd,
) -> None:
    """As PgBouncer in transaction mode: the session has never heard of the statement."""
    feed = rosterd_pg.account()
    flow(rosterd_pg, feed, "first")
    kept = rosterd_pg.parts.kept_connections
    with kept.read() as sql:
        # Not as a command, which the driver would understand.
        sql.exec_driver_sql("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    flow(rosterd_pg, feed, "second")
    assert {e["attempts"] for e in rosterd_pg.events()} == {0}
    assert rosterd_pg.outcome(rosterd_pg.events()[-1]["external_id"])[0] == "applied"
    assert kept_by(rosterd_pg) == {}
    with kept.beside() as beside:
        (found,) = beside.ask("SELECT current_setting('synchronous_commit') AS now")
    with rosterd_pg.parts.database.read() as sql:
        usual = sql.exec_driver_sql("SHOW synchronous_commit").scalar()
    assert found["now"] == usual, "or somebody else's commit would wait for no disk"
