"""Overrides in SQL (U9): begun and ended by operators, ended by themselves when they are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.model import Override, Person
from domain.overriding import override, without_override
from domain.protection import protected_ids
from worker.adapters.db import bulk, rows
from worker.adapters.db.by_hand import SQLHandWork
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.override_rows import overrides
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault, new_id

Report = Callable[[str, Mapping[str, object]], None]

#: Who ends what is due.
BY_ITSELF = "rosterd"
AT_ONCE = 100


class SQLOverrides:
    """Operators' overrides, each change one transaction with its audit row and its mails."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        link_seconds: float,
        report: Report,
        changing: Changing | None = None,
    ) -> None:
        self._database = database
        self._changing = changing or database
        self._vault = vault
        self._link_seconds = link_seconds
        self._report = report

    def begin(
        self,
        person: str,
        wanted: Override,
        *,
        until: datetime,
        actor: str,
        reason: str,
        account: str | None = None,
    ) -> Person:
        """From now on, until then; a former override of the person is replaced.

        Raises UsageError, NothingFoundError (also for a person of another account), RefusedError.
        """
        if not reason.strip():
            raise UsageError("an override needs a --reason: it stands in the person's history")

        def put(connection: Connection) -> Person:
            work = self._work(connection, actor)
            before = work.locked(person, account=account)
            now = database_now(connection)
            protected = protected_ids(work.keepers(before.account))
            after = override(before, wanted, until=until, now=now, protected=protected)
            _close(connection, person, now, by=actor)
            bulk.insert(connection, overrides, [_row(after, wanted, until, now, actor, reason)])
            work.save(before, after, action="user.override", reason=reason)
            told = {"wanted": wanted.value, "until": until.isoformat()}
            _decided(connection, after, "override", told, now, actor)
            return after

        return self._changing.change(put)

    def end(self, person: str, *, actor: str, reason: str, account: str | None = None) -> Person:
        """Before its time. Raises NothingFoundError, RefusedError where there is none."""

        def put(connection: Connection) -> Person:
            work = self._work(connection, actor)
            before = work.locked(person, account=account)
            if not _in_force(connection, person):
                raise RefusedError(f"{person} has no override: there is nothing to end")
            return _ended(connection, work, before, actor=actor, reason=reason)

        return self._changing.change(put)

    def end_due(self) -> int:
        """End what is over by the database's clock, each once whoever asks; how many.

        One transaction each: an override that cannot be ended keeps no other from it.
        """
        with translated(), self._database.read() as connection:
            due = _due(connection)
        ended = 0
        for one, person in due:
            try:
                ended += self._end_one(one, person)
            except (SQLAlchemyError, RefusedError) as error:
                fields = {"override": one, "person": person, "error": type(error).__name__}
                self._report("override_not_ended", fields)
        return ended

    def _end_one(self, one: str, person: str) -> bool:
        def put(connection: Connection) -> bool:
            work = self._work(connection, BY_ITSELF)
            try:
                before = work.locked(person)
            except NothingFoundError:
                # Deleted for good meanwhile (U5): nobody is left to be let in or out.
                _close(connection, person, database_now(connection), by=BY_ITSELF)
                return True
            # Behind the person's lock: whoever came first has ended or replaced it.
            if one not in [row["id"] for row in _in_force(connection, person)]:
                return False
            _ended(connection, work, before, actor=BY_ITSELF, reason="the override's time is over")
            return True

        return self._database.change(put, is_repeatable=True)

    def all(
        self, *, account: str | None = None, person: str | None = None, with_ended: bool = False
    ) -> list[dict[str, Any]]:
        """Overrides, the newest first; in force only, unless asked otherwise."""
        statement = select(overrides).order_by(overrides.c.made_at.desc(), overrides.c.id)
        if not with_ended:
            statement = statement.where(overrides.c.ended_at.is_(None))
        if account is not None:
            statement = statement.where(overrides.c.account_id == account)
        if person is not None:
            statement = statement.where(overrides.c.person_id == person)
        with translated(), self._database.read() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def _work(self, connection: Connection, actor: str) -> SQLHandWork:
        return SQLHandWork(connection, self._vault, actor=actor, link_seconds=self._link_seconds)


def _due(connection: Connection) -> Sequence[Any]:
    now = database_now(connection)
    return connection.execute(
        select(overrides.c.id, overrides.c.person_id)
        .where(overrides.c.ended_at.is_(None), overrides.c.until <= now)
        .order_by(overrides.c.until)
        .limit(AT_ONCE)
    ).all()


def _in_force(connection: Connection, person: str) -> list[dict[str, Any]]:
    mine = (overrides.c.person_id == person) & overrides.c.ended_at.is_(None)
    return [dict(row) for row in connection.execute(select(overrides).where(mine)).mappings()]


def _close(connection: Connection, person: str, now: datetime, *, by: str) -> None:
    mine = (overrides.c.person_id == person) & overrides.c.ended_at.is_(None)
    connection.execute(update(overrides).where(mine).values(ended_at=now, ended_by=by))


def _ended(
    connection: Connection, work: SQLHandWork, before: Person, *, actor: str, reason: str
) -> Person:
    now = database_now(connection)
    _close(connection, before.id, now, by=actor)
    protected = protected_ids(work.keepers(before.account))
    after = without_override(before, protected=protected)
    work.save(before, after, action="user.override_ended", reason=reason)
    _decided(connection, after, "override_ended", {}, now, actor)
    return after


def _row(
    person: Person, wanted: Override, until: datetime, now: datetime, actor: str, reason: str
) -> dict[str, Any]:
    return {
        "id": new_id("ovr"),
        "account_id": person.account,
        "person_id": person.id,
        "wanted": wanted.value,
        "until": until,
        "reason": reason,
        "made_at": now,
        "made_by": actor,
        "ended_at": None,
        "ended_by": None,
    }


def _decided(
    connection: Connection,
    person: Person,
    kind: str,
    inputs: dict[str, str],
    now: datetime,
    actor: str,
) -> None:
    """D1: made once, with what it was made by."""
    entry = {
        "account_id": person.account,
        "connection_id": person.connection,
        "user_key": person.user,
        "person_id": person.id,
        "kind": kind,
        "inputs": orjson.dumps(inputs),
        "event_id": None,
        "made_at": now,
        "made_by": actor,
    }
    bulk.insert(connection, rows.decisions, [entry])
