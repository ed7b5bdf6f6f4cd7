"""When the commit began that ended an event, for measurements.

An event's `ended_at` is when its transaction began. On PostgreSQL a trigger of a scratch database
notes when the commit begins; what is left out is the wait for the disk. SQLite tells `ended_at`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, MetaData, Table, func, select

from worker.adapters.db import rows
from worker.adapters.db.engine import Database
from worker.adapters.db.types import Moment, RowNumber

_commits = Table("bench_commits", MetaData(), Column("event", RowNumber), Column("at", Moment))
_WATCHED = """
CREATE TABLE bench_commits (event bigint PRIMARY KEY, at timestamptz NOT NULL);
CREATE FUNCTION bench_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO bench_commits VALUES (NEW.id, clock_timestamp()) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bench_commit AFTER UPDATE ON events DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND ({watched}))
  EXECUTE FUNCTION bench_commit();
"""


def watch_commits(database: Database, *watched: tuple[str, str]) -> None:
    """Note commits of events by feed and type; of others nothing is noted."""
    if not database.is_postgres:
        return
    which = " OR ".join(f"(NEW.feed_id = '{f}' AND NEW.type = '{t}')" for f, t in watched)
    with database.begin() as sql:
        sql.exec_driver_sql(_WATCHED.format(watched=which))
        sql.commit()


def commit_latencies(database: Database, feed: str, type_: str, began: datetime) -> list[float]:
    """Milliseconds from receipt to commit of each event that was received since then and ended."""
    events = rows.events
    asked = select(events.c.received_at, events.c.ended_at)
    if database.is_postgres:
        noted = events.outerjoin(_commits, _commits.c.event == events.c.id)
        at = func.coalesce(_commits.c.at, events.c.ended_at)
        asked = select(events.c.received_at, at.label("ended_at")).select_from(noted)
    mine = (events.c.feed_id == feed) & (events.c.type == type_)
    ended = (events.c.received_at >= began) & events.c.ended_at.is_not(None)
    with database.read() as sql:
        found = sql.execute(asked.where(mine, ended)).all()
    return [(row.ended_at - row.received_at).total_seconds() * 1000 for row in found]
