"""D7: a plan that was made while the tables were empty serves them just as well when they are full.

Statements that the driver keeps are planned once a connection (`worker/adapters/db/direct.py`),
and on a new installation that is before anybody is in the directory. Nobody analyses the tables
here: PostgreSQL makes no plan anew by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Feed, Rosterd
from tests.integration.test_plans import FILL
from worker.adapters.db import direct
from worker.adapters.db.filling import fill_ended, fill_people, vacuumed

ROWS = 20_000
#: What a flow may read more of full tables: indexes are deeper, and others' rows lie between.
SLACK = 2_000


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


def fill(rosterd: Rosterd, feed: Feed) -> None:
    """Everything that grows, of the same connection and account, and nobody tells the planner."""
    database = rosterd.parts.database
    fill_ended(database, feed.connection, ROWS, is_told=False)
    fill_people(database, feed.connection, ROWS, is_told=False)
    with database.begin() as sql:
        for table, rows in FILL.items():
            # All that is open or waits, too: those are the indexes that look good while empty.
            shape = rows.replace("CASE mod(i, 10) WHEN 0", "CASE mod(i, 1) WHEN 0")
            sql.exec_driver_sql(f"INSERT INTO {table} {shape} FROM generate_series(1, {ROWS}) AS i")
        sql.exec_driver_sql("UPDATE people SET account_id = (SELECT id FROM accounts LIMIT 1)")
        sql.exec_driver_sql(
            "UPDATE events SET state = 'waiting', due_at = now() + interval '1 day'"
            f" WHERE id <= {ROWS} AND state = 'ended'"
        )
        # What this read is not to be counted later.
        sql.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        sql.commit()


def read_by(rosterd: Rosterd, deed: Callable[[], None]) -> int:
    """Rows and index entries that this thread's session read."""
    before = _read_so_far(rosterd)
    deed()
    return _read_so_far(rosterd) - before


def _read_so_far(rosterd: Rosterd) -> int:
    with rosterd.parts.thread_connections.read() as sql:
        said = direct.direct_of(sql)
        assert said is not None
        said.ask("SELECT pg_stat_force_next_flush()::text")
        said.ask("SELECT 1")
        (found,) = said.ask(
            "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint"
            " + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint AS read"
        )
    return int(found["read"])


@pytest.mark.timeout(300)
def test_d7_plans_of_empty_tables_read_no_more_of_full_ones(
    rosterd_pg: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "PLANS_SECONDS", 1e9)
    feed = rosterd_pg.account()
    flow(rosterd_pg, feed, "first")
    few = read_by(rosterd_pg, lambda: flow(rosterd_pg, feed, "few"))
    fill(rosterd_pg, feed)
    many = read_by(rosterd_pg, lambda: flow(rosterd_pg, feed, "many"))
    assert many <= few + SLACK


@pytest.mark.timeout(300)
def test_d7_a_plan_that_no_longer_fits_is_not_kept_for_long(
    rosterd_pg: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tables that are known to be empty any index looks as good as another, and so does all."""
    monkeypatch.setattr(direct, "PLANS_SECONDS", 1e9)
    feed = rosterd_pg.account()
    vacuumed(rosterd_pg.parts.database)
    flow(rosterd_pg, feed, "first")
    fill(rosterd_pg, feed)
    misled = read_by(rosterd_pg, lambda: flow(rosterd_pg, feed, "misled"))
    assert misled > ROWS, "or there would be no reason to plan anew"
    monkeypatch.setattr(direct, "PLANS_SECONDS", 0.0)
    assert read_by(rosterd_pg, lambda: flow(rosterd_pg, feed, "anew")) < SLACK


def test_f23_behind_a_pooler_that_hands_sessions_on_nothing_is_kept_and_nothing_lost(
    rosterd_pg: Rosterd,
) -> None:
    """As PgBouncer in transaction mode: the session has never heard of the statement."""
    feed = rosterd_pg.account()
    flow(rosterd_pg, feed, "first")
    kept = rosterd_pg.parts.thread_connections
    with kept.read() as sql:
        # Not as a command, which the driver would understand.
        sql.exec_driver_sql("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    flow(rosterd_pg, feed, "second")
    assert {e["attempts"] for e in rosterd_pg.events()} == {0}
    assert rosterd_pg.outcome(rosterd_pg.events()[-1]["external_id"])[0] == "applied"
    with kept.read() as sql:
        prepared = sql.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar()
    assert prepared == 0
