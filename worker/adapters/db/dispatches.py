"""Deliveries in SQL: leases with fences, by the database's clock; each subject in its order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    exists,
    func,
    literal,
    select,
    update,
)

from domain.dispatches import (
    DISABLED_AFTER,
    LEAVERS_WAIT,
    Dispatch,
    Due,
    Endpoint,
    EndpointState,
)
from domain.errors import NothingFoundError
from domain.inbox import Lane
from worker.adapters.db import bulk
from worker.adapters.db.alerts import tell_operators
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.outbound_rows import (
    announcements,
    dispatches,
    endpoint_secrets,
    endpoints,
)
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

#: Database connections that all senders of a process share: a drain beside them needs some, too.
TURNS = 4
#: Subjects whose people lose access, looked at for one share.
_LOOKED_AT = 50
#: What operators are told of an endpoint that is disabled.
DISABLED_TOPIC = "endpoint.disabled"


class SQLDispatches:
    """`Dispatches` on both databases. disabled: hears of an endpoint that was, and why."""

    def __init__(
        self, database: Database, vault: Vault, disabled: Callable[[str, str], None]
    ) -> None:
        self._database = database
        self._vault = vault
        self._disabled = disabled
        self._turns = threading.BoundedSemaphore(TURNS)

    def due(self) -> list[Due]:
        """See the port."""
        with self._turns, translated(), self._database.read() as connection:
            return due_endpoints(connection, database_now(connection))

    def endpoint(self, endpoint: str) -> Endpoint | None:
        """See the port."""
        with self._turns, translated(), self._database.read() as connection:
            now = database_now(connection)
            row = connection.execute(
                select(endpoints).where(endpoints.c.id == endpoint, _is_open(now))
            ).first()
            return _listening(connection, self._vault, row, now) if row is not None else None

    def claim(self, endpoint: str, *, lane: Lane, limit: int, lease: timedelta) -> list[Dispatch]:
        """See the port."""
        with self._writing() as (connection, now):
            chosen = _urgent(endpoint, now) if lane is Lane.URGENT else _of_lane(lane, now)
            heads = (
                select(dispatches, announcements)
                .join(announcements, announcements.c.id == dispatches.c.announcement_id)
                .where(dispatches.c.endpoint_id == endpoint, dispatches.c.due_at.is_not(None))
                .where(chosen, ~_has_earlier())
                .order_by(dispatches.c.due_at, dispatches.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True, of=dispatches)
            )
            found = connection.execute(_renamed(heads)).mappings().all()
            leased = [
                {
                    "id": row["dispatch_id"],
                    "fence": row["fence"] + 1,
                    "due_at": now + lease,
                    "state": "sending",
                }
                for row in found
            ]
            bulk.update(connection, dispatches, leased)
            connection.commit()
        return [_dispatch(row, endpoint) for row in found]

    def delivered(self, dispatch: Dispatch, *, was_failing: bool) -> bool:
        """See the port."""

        def write(connection: Connection) -> bool:
            if was_failing:
                _lock(connection, dispatch.endpoint)
            now = database_now(connection)
            done = _finish(connection, dispatch, state="delivered", due_at=None, ended_at=now)
            if done and was_failing:
                _is_back(connection, dispatch.endpoint, now)
            return done

        with self._turns:
            return self._database.change(write, is_repeatable=True)

    def failed(
        self,
        dispatch: Dispatch,
        why: str,
        *,
        wait: timedelta | None,
        rest: timedelta | None,
        gives_way: bool,
    ) -> bool:
        """See the port."""

        def write(connection: Connection) -> tuple[bool, bool]:
            _lock(connection, dispatch.endpoint)
            now = database_now(connection)
            patience = _before_leavers(wait, gives_way=gives_way)
            is_urgent = wait is not None and _is_awaited(connection, dispatch)
            left = patience if is_urgent else wait
            done = _set_back(connection, dispatch, why, left, now)
            until = now + rest if rest is not None else None
            return done, done and self._counted(connection, dispatch.endpoint, why, until, now)

        with self._turns:
            done, is_disabled = self._database.change(write, is_repeatable=True)
        if is_disabled:
            self._disabled(dispatch.endpoint, why)
        return done

    def _counted(
        self, connection: Connection, endpoint: str, why: str, until: datetime | None, now: datetime
    ) -> bool:
        """One more failure in a row; whether it was one too many."""
        row = connection.execute(
            update(endpoints)
            .where(endpoints.c.id == endpoint)
            .values(
                failures=endpoints.c.failures + 1,
                failing_since=func.coalesce(
                    endpoints.c.failing_since, literal(now, endpoints.c.failing_since.type)
                ),
                rests_until=until,
                last_error=why,
            )
            .returning(endpoints.c.failing_since, endpoints.c.state)
        ).first()
        if row is None or row.state != EndpointState.ACTIVE:
            return False
        if row.failing_since > now - DISABLED_AFTER:
            return False
        why = f"nothing was taken since {row.failing_since:%Y-%m-%d %H:%M} UTC; last: {why}"
        return _disable(connection, endpoint, why, now)

    def release(self, dispatches_: Sequence[Dispatch]) -> None:
        """See the port."""
        for one in dispatches_:

            def write(connection: Connection, one: Dispatch = one) -> None:
                connection.execute(
                    update(dispatches)
                    .where(dispatches.c.id == one.id, dispatches.c.fence == one.fence)
                    .where(dispatches.c.state == "sending")
                    .values(state="pending", due_at=database_now(connection))
                )

            with self._turns:
                self._database.change(write, is_repeatable=True)

    def disable(self, endpoint: str, why: str) -> bool:
        """See the port."""

        def write(connection: Connection) -> bool:
            return _disable(connection, endpoint, why, database_now(connection))

        with self._turns:
            done = self._database.change(write, is_repeatable=True)
        if done:
            self._disabled(endpoint, why)
        return done

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, datetime]]:
        with self._turns, translated(), self._database.begin() as connection:
            yield connection, database_now(connection)


def due_endpoints(connection: Connection, now: datetime) -> list[Due]:
    """Endpoints that wait for something, by lane: one probe of an index for each."""
    waits = {lane: _waits(lane, now).label(lane.value) for lane in Lane}
    found = connection.execute(
        select(endpoints.c.id, endpoints.c.failures, *waits.values()).where(_is_open(now))
    ).mappings()
    return [
        Due(row["id"], lane, is_failing=row["failures"] > 0)
        for row in found
        for lane in waits
        if row[lane.value]
    ]


def live_endpoint(connection: Connection, vault: Vault, endpoint: str) -> Endpoint:
    """An endpoint that is not removed, whatever its state; raises NothingFoundError."""
    mine = endpoints.c.id == endpoint, endpoints.c.state != EndpointState.REMOVED.value
    row = connection.execute(select(endpoints).where(*mine)).first()
    if row is None:
        raise NothingFoundError("endpoint", endpoint)
    return _listening(connection, vault, row, database_now(connection))


def _listening(connection: Connection, vault: Vault, row: Any, now: datetime) -> Endpoint:
    secrets = live_secrets(connection, vault, row.id, now)
    return Endpoint(row.id, row.account_id, row.url, secrets, row.failures)


def live_secrets(
    connection: Connection, vault: Vault, endpoint: str, now: datetime
) -> tuple[str, ...]:
    """Opened, the newest first."""
    table = endpoint_secrets
    found = connection.execute(
        select(table.c.ciphertext)
        .where(table.c.endpoint_id == endpoint)
        .where(table.c.expires_at.is_(None) | (table.c.expires_at > now))
        .order_by(table.c.created_at.desc(), table.c.id)
    )
    return tuple(vault.open(row.ciphertext).decode() for row in found)


def _is_open(now: datetime) -> ColumnElement[bool]:
    rested = endpoints.c.rests_until.is_(None) | (endpoints.c.rests_until <= now)
    return and_(endpoints.c.state == EndpointState.ACTIVE.value, rested)


def _waits(lane: Lane, now: datetime) -> ColumnElement[bool]:
    return exists().where(
        dispatches.c.endpoint_id == endpoints.c.id,
        dispatches.c.lane == lane.value,
        dispatches.c.due_at.is_not(None),
        dispatches.c.due_at <= now,
    )


def _of_lane(lane: Lane, now: datetime) -> ColumnElement[bool]:
    """One lane and in the order of its index (D7)."""
    return and_(dispatches.c.lane == lane.value, dispatches.c.due_at <= now)


def _urgent(endpoint: str, now: datetime) -> ColumnElement[bool]:
    """The heads of subjects who lose access: at once, whatever lane they are in or wait for."""
    waiting = dispatches.alias("waiting")
    subjects = (
        select(waiting.c.subject)
        .where(waiting.c.endpoint_id == endpoint, waiting.c.lane == Lane.URGENT.value)
        .where(waiting.c.due_at.is_not(None), waiting.c.due_at <= now)
        .order_by(waiting.c.due_at, waiting.c.id)
        .limit(_LOOKED_AT)
        .scalar_subquery()
    )
    ready = (dispatches.c.state == "pending") | (dispatches.c.due_at <= now)
    return and_(dispatches.c.subject.in_(subjects), ready)


def _has_earlier() -> ColumnElement[bool]:
    earlier = dispatches.alias("earlier")
    return exists().where(
        earlier.c.endpoint_id == dispatches.c.endpoint_id,
        earlier.c.subject == dispatches.c.subject,
        earlier.c.sequence < dispatches.c.sequence,
        earlier.c.due_at.is_not(None),
    )


def _renamed(heads: Any) -> Any:
    """Both tables have an id, a subject, ..: only what is used, each once."""
    return heads.with_only_columns(
        dispatches.c.id.label("dispatch_id"),
        dispatches.c.fence,
        dispatches.c.attempts,
        dispatches.c.subject,
        dispatches.c.sequence,
        dispatches.c.lane,
        announcements.c.message_id,
        announcements.c.type,
        announcements.c.data,
        announcements.c.made_at,
    )


def _dispatch(row: RowMapping, endpoint: str) -> Dispatch:
    return Dispatch(
        id=row["dispatch_id"],
        endpoint=endpoint,
        message_id=row["message_id"],
        type=row["type"],
        sequence=row["sequence"],
        data=bytes(row["data"]),
        made_at=row["made_at"],
        subject=row["subject"],
        lane=Lane(row["lane"]),
        attempts=row["attempts"],
        fence=row["fence"] + 1,
    )


def _finish(connection: Connection, dispatch: Dispatch, **values: object) -> bool:
    done = connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch.id, dispatches.c.fence == dispatch.fence)
        .where(dispatches.c.state == "sending")
        .values(attempts=dispatch.attempts + 1, **{"last_error": None, **values})
    )
    return done.rowcount == 1


def _lock(connection: Connection, endpoint: str) -> None:
    """Before its dispatches: whoever changes several of them does so alone."""
    connection.execute(select(endpoints.c.id).where(endpoints.c.id == endpoint).with_for_update())


def _before_leavers(wait: timedelta | None, *, gives_way: bool) -> timedelta | None:
    """How long somebody's suspension waits behind what fails: not at all, or a moment."""
    return None if gives_way or wait is None else min(wait, LEAVERS_WAIT)


def _is_awaited(connection: Connection, dispatch: Dispatch) -> bool:
    """Whether news that somebody lost access are behind it."""
    behind = (
        select(dispatches.c.id)
        .where(dispatches.c.endpoint_id == dispatch.endpoint)
        .where(dispatches.c.subject == dispatch.subject)
        .where(dispatches.c.sequence > dispatch.sequence, dispatches.c.due_at.is_not(None))
        .where(dispatches.c.lane == Lane.URGENT.value)
    )
    return connection.execute(behind.limit(1)).first() is not None


def _set_back(
    connection: Connection, dispatch: Dispatch, why: str, wait: timedelta | None, now: datetime
) -> bool:
    """Tried again after the wait, with all that comes after it of its subject; or given up."""
    if wait is None:
        return _finish(
            connection, dispatch, state="failed", due_at=None, ended_at=now, last_error=why
        )
    due_at = now + wait
    done = _finish(connection, dispatch, state="pending", due_at=due_at, last_error=why)
    if done:
        _hold_up(connection, dispatch, due_at)
    return done


def _hold_up(connection: Connection, dispatch: Dispatch, until: datetime) -> None:
    """What comes after a failed one of its subject is not found due again and again meanwhile."""
    connection.execute(
        update(dispatches)
        .where(dispatches.c.endpoint_id == dispatch.endpoint)
        .where(dispatches.c.subject == dispatch.subject)
        .where(dispatches.c.sequence > dispatch.sequence, dispatches.c.due_at < until)
        .values(due_at=until)
    )


def _is_back(connection: Connection, endpoint: str, now: datetime) -> None:
    """It takes something again: what waits because it did not goes out now.

    What failed more often than the endpoint in a row is refused for itself, and keeps its wait.
    """
    mine = endpoints.c.id == endpoint
    failures = connection.execute(select(endpoints.c.failures).where(mine)).scalar_one()
    refused = dispatches.alias("refused")
    is_refused = exists().where(
        refused.c.endpoint_id == endpoint,
        refused.c.subject == dispatches.c.subject,
        refused.c.sequence <= dispatches.c.sequence,
        refused.c.due_at.is_not(None),
        refused.c.attempts > failures,
    )
    connection.execute(
        update(endpoints)
        .where(mine)
        .values(failures=0, failing_since=None, rests_until=None, last_error=None)
    )
    connection.execute(
        update(dispatches)
        .where(dispatches.c.endpoint_id == endpoint, dispatches.c.due_at > now)
        .where(dispatches.c.state == "pending", ~is_refused)
        .values(due_at=now)
    )


def _disable(connection: Connection, endpoint: str, why: str, now: datetime) -> bool:
    done = connection.execute(
        update(endpoints)
        .where(endpoints.c.id == endpoint, endpoints.c.state == EndpointState.ACTIVE.value)
        .values(state=EndpointState.DISABLED.value, why=why, changed_at=now)
        .returning(endpoints.c.account_id, endpoints.c.url)
    ).first()
    if done is None:
        return False
    tell_operators(
        connection,
        now,
        topic=DISABLED_TOPIC,
        subject=endpoint,
        headline=f"Endpoint {endpoint} of an application is disabled: it is told nothing more",
        details=[
            f"{done.url}: {why}",
            f"Everything waits. Once it is mended: rosterd endpoint resume {endpoint} --reason ..",
        ],
        account=done.account_id,
        is_urgent=True,
    )
    return True
