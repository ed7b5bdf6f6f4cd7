"""Runs through IdPs' directories in SQL: begun, leased, gone on with, over (D18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, or_, select, update
from sqlalchemy.exc import IntegrityError

from domain.directories import Page, Read, ReadGroup, ReadPerson
from domain.errors import NothingFoundError, RefusedError
from domain.intake import StoredEvent
from domain.policy import Policy
from domain.reconciliation import (
    FirstPage,
    Order,
    Phase,
    Purpose,
    Run,
    RunState,
    Suspect,
    doubt_of,
)
from domain.values import from_micros, to_micros
from worker.adapters.db import rows
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.reading import (
    count_members,
    keep_group_end,
    keep_groups,
    keep_members,
    keep_people,
    known_of,
    read_of,
)
from worker.adapters.db.reconciliation_rows import read_groups, reconciliations
from worker.adapters.db.reconciling import compare_page, confirm, suspects
from worker.adapters.db.saying import clear_page, finish, say_page
from worker.adapters.db.uow import database_now, policies_of
from worker.adapters.vault import Vault, new_id

#: Longer than a step may take, a request to the IdP with all its waits included.
LEASE = timedelta(minutes=1)


T = TypeVar("T")


class LostError(Exception):
    """The lease is another's by now, or the run is over."""


class SQLReconciliations:
    """`Reconciliations` on both databases."""

    def __init__(
        self, database: Database, vault: Vault, worker: str, changing: Changing | None = None
    ) -> None:
        self._database = database
        self._changing = changing or database
        self._vault = vault
        self._worker = worker

    # -- orders ---------------------------------------------------------------------------

    def begin(self, connection: str, order: Order) -> str:
        """See the port."""
        run = new_id("rec")

        def work(sql: Connection) -> str:
            table, now = rows.connections, database_now(sql)
            found = sql.execute(select(table).where(table.c.id == connection)).mappings().first()
            if found is None:
                raise NothingFoundError("connection", connection)
            if found["state"] == "retired":
                raise RefusedError(f"connection {found['name']} is retired: nothing is read there")
            _insist_alone(sql, connection)
            sql.execute(reconciliations.insert().values(_new(run, dict(found), order, now)))
            told = {"run": run, "purpose": order.purpose.value, "applies": order.applies}
            deed = Deed("connection.reconcile", connection, found["account_id"], order.actor)
            audit(sql, now, replace(deed, reason=order.reason, after=told))
            return run

        try:
            return self._changing.change(work)
        except IntegrityError as error:
            raise RefusedError(f"connection {connection} is being read just now") from error

    def cancel(self, run: str, *, actor: str, reason: str) -> bool:
        """End it; whether it was under way. What it said already stays said."""

        def work(sql: Connection) -> bool:
            row = sql.execute(select(reconciliations).where(reconciliations.c.id == run)).first()
            if row is None:
                raise NothingFoundError("reconciliation", run)
            if row.state != RunState.RUNNING.value:
                return False
            ends = {"ends_as": RunState.CANCELLED.value, "phase": Phase.CLEARING.value}
            free = {"fence": row.fence + 1, "lease_until": None, "due_at": database_now(sql)}
            why = {"why": f"cancelled: {reason}", "failures": 0, "cursor": None}
            _set(sql, reconciliations.c.id == run, **ends, **free, **why)
            deed = Deed("connection.reconcile_cancelled", row.connection_id, row.account_id, actor)
            audit(sql, database_now(sql), replace(deed, reason=reason, after={"run": run}))
            return True

        return self._changing.change(work)

    # -- leases ---------------------------------------------------------------------------

    def due(self) -> list[str]:
        """See the port."""
        with translated(), self._database.read() as sql:
            table, now = reconciliations, database_now(sql)
            ready = (table.c.state == RunState.RUNNING.value) & (table.c.due_at <= now)
            free = self._is_free(now)
            return list(sql.scalars(select(table.c.id).where(ready, free).order_by(table.c.due_at)))

    def take(self, run: str) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run | None:
            table, now = reconciliations, database_now(sql)
            ready = (table.c.state == RunState.RUNNING.value) & (table.c.due_at <= now)
            held = {"lease_by": self._worker, "lease_until": now + LEASE}
            taken = (
                update(table)
                .where(table.c.id == run, ready, self._is_free(now))
                .values(fence=table.c.fence + 1, **held)
                .returning(table)
            )
            row = sql.execute(taken).mappings().first()
            return None if row is None else _run(row)

        return self._database.change(work)

    def _is_free(self, now: Any) -> ColumnElement[bool]:
        until = reconciliations.c.lease_until
        return or_(until.is_(None), until < now)

    def let_go(self, run: Run) -> None:
        """See the port."""
        self._changed(run, lambda sql: _set(sql, _mine(run), lease_until=None))

    def put_off(self, run: Run, why: str, wait: timedelta) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            due = {"due_at": database_now(sql) + wait, "lease_until": None}
            _set(sql, _mine(run), failures=run.failures + 1, why=why, **due)

        self._changed(run, work)

    def fail(self, run: Run, why: str) -> None:
        """See the port."""
        ends = {
            "ends_as": RunState.FAILED.value,
            "phase": Phase.CLEARING.value,
            "why": why,
            "failures": 0,
        }
        self._changed(run, lambda sql: _set(sql, _mine(run), cursor=None, lease_until=None, **ends))

    # -- reading --------------------------------------------------------------------------

    def keep_people(self, run: Run, page: Page[ReadPerson]) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            keep_people(sql, run.id, page)
            keys = [one.key for one in page.items]
            return self._read_on(sql, run, "people", keys, page)

        return self._changed(run, work)

    def keep_groups(self, run: Run, page: Page[ReadGroup]) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            keep_groups(sql, run.id, page, self._policy(sql, run))
            keys = [one.key for one in page.items]
            return self._read_on(sql, run, "groups", keys, page)

        return self._changed(run, work)

    def _read_on(
        self, sql: Connection, run: Run, name: str, keys: Sequence[str], page: Page[Any]
    ) -> Run:
        if run.cursor is None:
            run = replace(run, first={**run.first, name: FirstPage.of(keys, page.total, page.at)})
        counted = {**run.counts, name: run.counts.get(name, 0) + len(keys)}
        after = replace(run, cursor=page.after, counts=counted)
        if page.after is None:
            after = replace(after, phase=run.following)
        return _kept(sql, after)

    def next_group(self, run: Run) -> str | None:
        """See the port."""
        if run.cursor is not None:
            return run.place
        table = read_groups
        unread = (table.c.run_id == run.id) & (table.c.key > run.place) & table.c.doubt.is_(None)
        with translated(), self._database.read() as sql:
            return sql.scalar(select(table.c.key).where(unread).order_by(table.c.key).limit(1))

    def keep_members(self, run: Run, group: str, page: Page[str]) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            keep_members(sql, run, group, page)
            counted = {**run.counts, "members": run.counts.get("members", 0) + len(page.items)}
            after = replace(run, counts=counted)
            if page.after is not None:
                after = replace(after, cursor=page.after, place=group)
            return _kept(sql, after)

        return self._changed(run, work)

    def members_read(self, run: Run, group: str, again: FirstPage | None, why: str) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            doubt = why
            if again is not None:
                scoped = group in self._policy(sql, run).scope.keys
                count, first = count_members(sql, run.id, group)
                doubt = doubt_of(first, again, count=count, known=1 if scoped else 0)
            keep_group_end(sql, run.id, group, doubt)
            return _kept(sql, replace(run, cursor=None, place=group))

        return self._changed(run, work)

    def prove(self, run: Run, people: FirstPage, groups: FirstPage) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            doubts = dict(run.doubts)
            for name, again in (("people", people), ("groups", groups)):
                count = read_of(sql, run.id, name)
                known = 0 if count else known_of(sql, run.connection, name)
                why = doubt_of(run.first[name], again, count=count, known=known)
                if why:
                    doubts[name] = why
            return _kept(sql, replace(run, doubts=doubts, phase=run.following))

        return self._changed(run, work)

    # -- comparing and saying -------------------------------------------------------------

    def move_on(self, run: Run) -> Run | None:
        """See the port."""
        after = replace(run, phase=run.following, cursor=None, place="")
        return self._changed(run, lambda sql: _kept(sql, after))

    def compare(self, run: Run) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            cursor, counts = compare_page(sql, self._vault, run, self._policy(sql, run))
            after = replace(run, cursor=cursor, counts=counts)
            if cursor is None:
                after = replace(after, phase=run.following)
            return _kept(sql, after)

        return self._changed(run, work)

    def suspects(self, run: Run, limit: int) -> list[Suspect]:
        """See the port."""
        with translated(), self._database.read() as sql:
            return suspects(sql, run.id, limit)

    def confirm(
        self, run: Run, suspect: Suspect, read: Read[ReadPerson] | Read[ReadGroup] | None
    ) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run:
            policy = self._policy(sql, run)
            counts = confirm(sql, self._vault, run, policy, suspect, read)
            return _kept(sql, replace(run, counts=counts))

        return self._changed(run, work)

    def apply(self, run: Run) -> tuple[Run | None, list[StoredEvent]]:
        """See the port."""
        said: list[StoredEvent] = []

        def work(sql: Connection) -> Run:
            cursor, events = say_page(sql, self._vault, run)
            said[:] = events
            counts = {**run.counts, "said": run.counts.get("said", 0) + len(events)}
            after = replace(run, cursor=cursor, counts=counts)
            if cursor is None:
                after = replace(after, phase=run.following)
            return _kept(sql, after)

        return self._changed(run, work), said

    def clear(self, run: Run) -> Run | None:
        """See the port."""

        def work(sql: Connection) -> Run | None:
            cursor = clear_page(sql, run.id, run.cursor)
            if cursor is not None:
                return _kept(sql, replace(run, cursor=cursor))
            finish(sql, run)
            return None

        return self._changed(run, work)

    def _policy(self, sql: Connection, run: Run) -> Policy:
        return policies_of(sql, {run.connection})[run.connection]

    def _changed(self, run: Run, work: Callable[[Connection], T]) -> T | None:
        """Do it under the run's lease; None where that is lost."""

        def insisted(sql: Connection) -> T:
            table = reconciliations
            mine = select(table.c.id).where(_mine(run), table.c.state == RunState.RUNNING.value)
            if sql.execute(mine.with_for_update()).first() is None:
                raise LostError
            return work(sql)

        try:
            # What a page says is written over itself, and the lease is still the same.
            return self._database.change(insisted, is_repeatable=run.phase is not Phase.APPLYING)
        except LostError:
            return None


def _insist_alone(sql: Connection, connection: str) -> None:
    table = reconciliations
    mine = (table.c.connection_id == connection) & (table.c.state == RunState.RUNNING.value)
    found = sql.execute(select(table.c.id, table.c.made_at).where(mine)).first()
    if found is not None:
        raise RefusedError(
            f"the directory is being read since {found.made_at:%Y-%m-%d %H:%M} UTC "
            f"({found.id}): wait for its end, or cancel it"
        )


def _new(run: str, connection: Mapping[str, Any], order: Order, now: Any) -> dict[str, Any]:
    return {
        "id": run,
        "account_id": connection["account_id"],
        "connection_id": connection["id"],
        "purpose": order.purpose.value,
        "applies": order.applies,
        "actor": order.actor,
        "reason": order.reason,
        "state": RunState.RUNNING.value,
        "phase": Phase.PEOPLE.value,
        "cursor": None,
        "place": "",
        "ends_as": RunState.FINISHED.value,
        "proof": b"{}",
        "counts": b"{}",
        "why": "",
        "failures": 0,
        "made_at": now,
        "due_at": now,
        "fence": 0,
    }


def _mine(run: Run) -> ColumnElement[bool]:
    return (reconciliations.c.id == run.id) & (reconciliations.c.fence == run.fence)


def _set(sql: Connection, which: ColumnElement[bool], **values: Any) -> None:
    sql.execute(update(reconciliations).where(which).values(**values))


def _kept(sql: Connection, run: Run) -> Run:
    """Note how far it is, and hold the lease on; a step that was made forgives earlier failures."""
    now = database_now(sql)
    proof = {
        "first": {n: [f.keys, f.total, to_micros(f.at)] for n, f in run.first.items()},
        "doubts": dict(run.doubts),
    }
    began = run.first.get("people")
    _set(
        sql,
        _mine(run),
        phase=run.phase.value,
        cursor=run.cursor,
        place=run.place,
        proof=orjson.dumps(proof),
        counts=orjson.dumps(dict(run.counts)),
        began_at=None if began is None else began.at,
        failures=0,
        why="" if run.failures else reconciliations.c.why,
        lease_until=now + LEASE,
    )
    return replace(run, failures=0)


def _run(row: Mapping[Any, Any]) -> Run:
    proof, counts = orjson.loads(row["proof"]), orjson.loads(row["counts"])
    first = proof.get("first", {})
    return Run(
        id=row["id"],
        account=row["account_id"],
        connection=row["connection_id"],
        purpose=Purpose(row["purpose"]),
        applies=row["applies"],
        phase=Phase(row["phase"]),
        fence=row["fence"],
        cursor=row["cursor"],
        place=row["place"],
        failures=row["failures"],
        first={n: FirstPage(k, total, from_micros(at)) for n, (k, total, at) in first.items()},
        doubts=proof.get("doubts", {}),
        counts=counts,
    )
