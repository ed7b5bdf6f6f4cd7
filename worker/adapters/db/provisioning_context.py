"""What one SCIM write has to know beside its subject, in one question on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from domain.policy import Policy
from worker.adapters.db import rows
from worker.adapters.db.direct import PLANNED_ONCE, Asked, Row
from worker.adapters.db.surroundings import COLUMNS, Surroundings, surroundings_of
from worker.adapters.db.uow import database_now, policies_of, policy_from_row

#: $1: how many numbers; $2: the session's name until the transaction ends; $3: the connection.
_ASK = f"""
SELECT clock_timestamp() AS now, {PLANNED_ONCE},
 ARRAY(SELECT nextval('events_id_seq') FROM generate_series(1, $1::int)) AS events,
 ARRAY(SELECT nextval('deliveries_id_seq') FROM generate_series(1, $1::int)) AS deliveries,
 set_config('application_name', $2, true),
 {COLUMNS}FROM connections c WHERE c.id = $3
"""


@dataclass(frozen=True, slots=True)
class Context:
    """The moment, numbers for events and deliveries, the policy, and what is around it."""

    now: datetime
    events: Sequence[int]
    deliveries: Sequence[int]
    policy: Policy
    surroundings: Surroundings


def ask_context(connection: str, *, count: int, name: str) -> Asked:
    """For so many requests of a connection.

    name: what PostgreSQL calls the session until the transaction ends.
    """
    return Asked(_ASK, [str(count), name, connection])


def context_from_row(row: Row) -> Context:
    """What `ask_context` found."""
    return Context(
        now=row["now"].astimezone(UTC),
        events=row["events"],
        deliveries=row["deliveries"],
        policy=policy_from_row(row, frozenset(row["domains"])),
        surroundings=surroundings_of([row]),
    )


def context_on_sqlite(sql: Connection, connection: str, count: int) -> Context:
    """The same there."""
    tops = (
        int(sql.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())
        for table in (rows.events, rows.deliveries)
    )
    events, deliveries = (range(top + 1, top + 1 + count) for top in tops)
    policy = policies_of(sql, {connection})[connection]
    return Context(database_now(sql), events, deliveries, policy, Surroundings())
