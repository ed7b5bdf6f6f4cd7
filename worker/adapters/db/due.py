"""Which kinds of events wait to be done, by lane: asked before every batch of every worker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache

from sqlalchemy import Connection, TextClause, bindparam, text

from domain.inbox import Kind, Lane
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.types import Moment
from worker.adapters.db.uow import database_now

NOW = timedelta(0)


def kinds_due(database: Database, lane: Lane, *, since: timedelta = NOW) -> list[Kind]:
    """Kinds of which something is due in this lane, and has been for so long."""
    with translated(), database.read() as connection:
        return [kind for kind, _ in lanes_due(connection, lane, since=since)]


def lanes_due(
    connection: Connection, *lanes: Lane, since: timedelta = NOW
) -> list[tuple[Kind, Lane]]:
    """One probe of an index for each of these lanes and each kind, whatever the backlog."""
    is_postgres = connection.dialect.name == "postgresql"
    # PostgreSQL's own clock, in the question itself, is a wait less.
    asked: Mapping[str, object] = (
        {"since": since.total_seconds()}
        if is_postgres
        else {"until": database_now(connection) - since}
    )
    found = connection.execute(_statement(lanes, is_postgres=is_postgres), asked)
    return [(Kind(kind), Lane(lane)) for kind, lane in found]


@cache
def _statement(lanes: tuple[Lane, ...], *, is_postgres: bool) -> TextClause:
    """As text: put together from expressions anew each time it took 7 ms of processor time.

    A subquery with a limit is asked for each row: nothing of it can become a join.
    """
    pairs = ", ".join(f"('{lane.value}', '{kind.value}')" for lane in lanes for kind in Kind)
    statement = (
        f"WITH asked (lane, kind) AS (VALUES {pairs}) "
        "SELECT kind, lane FROM asked WHERE "
        "(SELECT 1 FROM events WHERE events.lane = asked.lane AND events.kind = asked.kind "
        "AND events.due_at IS NOT NULL AND events.due_at <= "
    )
    if is_postgres:
        until = "statement_timestamp() - make_interval(secs => :since)"
        return text(f"{statement} {until} LIMIT 1) IS NOT NULL")
    until_then = bindparam("until", type_=Moment)
    return text(f"{statement} :until LIMIT 1) IS NOT NULL").bindparams(until_then)
