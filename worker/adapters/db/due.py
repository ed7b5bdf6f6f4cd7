"""Which kinds of events wait to be done, by lane: asked before every batch of every worker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache

from sqlalchemy import Connection, TextClause, bindparam, text

from domain.inbox import Kind, Lane
from worker.adapters.db.direct import direct_of
from worker.adapters.db.engine import translated
from worker.adapters.db.kept_connections import KeptConnections
from worker.adapters.db.types import Moment
from worker.adapters.db.uow import database_now

NOW = timedelta(0)


def kinds_due(kept: KeptConnections, lane: Lane, *, since: timedelta = NOW) -> list[Kind]:
    """Kinds of which something is due in this lane, and has been for so long."""
    with translated(), kept.read() as connection:
        return [kind for kind, _ in lanes_due(connection, lane, since=since)]


def lanes_due(
    connection: Connection, *lanes: Lane, since: timedelta = NOW
) -> list[tuple[Kind, Lane]]:
    """One probe of an index for each of these lanes and each kind, whatever the backlog."""
    direct = direct_of(connection)
    if direct is not None:
        rows = direct.ask(_on_postgres(lanes), since.total_seconds())
        return [(Kind(row["kind"]), Lane(row["lane"])) for row in rows]
    if connection.dialect.name == "postgresql":
        # The server's own clock, in the question itself, is a wait less.
        asked: Mapping[str, object] = {"since": since.total_seconds()}
        statement = text(_on_postgres(lanes).replace("$1", ":since"))
    else:
        asked = {"until": database_now(connection) - since}
        statement = _on_sqlite(lanes)
    return [(Kind(kind), Lane(lane)) for kind, lane in connection.execute(statement, asked)]


@cache
def _on_postgres(lanes: tuple[Lane, ...]) -> str:
    return _asking(lanes, until="statement_timestamp() - make_interval(secs => $1)")


@cache
def _on_sqlite(lanes: tuple[Lane, ...]) -> TextClause:
    return text(_asking(lanes, until=":until")).bindparams(bindparam("until", type_=Moment))


def _asking(lanes: tuple[Lane, ...], *, until: str) -> str:
    """As text: put together from expressions anew each time it took 7 ms of processor time.

    A subquery with a limit is asked for each row: nothing of it can become a join.
    """
    pairs = ", ".join(f"('{lane.value}', '{kind.value}')" for lane in lanes for kind in Kind)
    return (
        f"WITH asked (lane, kind) AS (VALUES {pairs}) "
        "SELECT kind, lane FROM asked WHERE "
        "(SELECT 1 FROM events WHERE events.lane = asked.lane AND events.kind = asked.kind "
        f"AND events.due_at IS NOT NULL AND events.due_at <= {until} LIMIT 1) IS NOT NULL"
    )
