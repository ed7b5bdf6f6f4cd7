"""Plans that are kept, going live, and lists that were read: what operators do (S4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import func, select, update

from domain.errors import NothingFoundError, RefusedError
from domain.observing import KeptPlan, Plan
from domain.policy import Scope, ScopeRule
from worker.adapters.db import bulk, rows
from worker.adapters.db.observing import newest_audit, release_in_order, scope_values, sum_up
from worker.adapters.db.observing_rows import backfills, plans
from worker.adapters.db.setup_connections import ConnectionSetup
from worker.adapters.vault import new_id


class ObservingSetup(ConnectionSetup):
    """From observing to live."""

    def keep_plan(self, connection: dict[str, Any], plan: Plan, scope: str | None) -> str:
        """Note a plan that is shown, so that going live can be held to it; its id."""
        kept = new_id("pln")
        row = {
            "id": kept,
            "account_id": connection["account_id"],
            "connection_id": connection["id"],
            "scope": scope,
            "digest": plan.digest,
            "summary": orjson.dumps(plan.as_dict()),
            "made_at": self.now,
            "made_by": self.actor,
        }
        bulk.insert(self.sql, plans, [row])
        return kept

    def kept_plan(self, connection: dict[str, Any], plan: str) -> KeptPlan:
        """A plan of this connection; raises NothingFoundError."""
        mine = plans.c.connection_id == connection["id"], plans.c.id == plan
        row = self.sql.execute(select(plans).where(*mine)).mappings().first()
        if row is None:
            raise NothingFoundError("plan", plan, more=f"of connection {connection['name']}")
        summary = orjson.loads(row["summary"])
        return KeptPlan(row["id"], row["connection_id"], row["scope"], summary, row["made_at"])

    def go_live(
        self, connection: dict[str, Any], *, scope: Scope | None, plan: str, reason: str
    ) -> int:
        """S4: apply what was observed, in the bulk lane, and everything from now on.

        How many events. Raises RefusedError where it does not observe, UsageError where another
        connection governs (C1).
        """
        self._insist_sole_live(connection)
        before = self.lock_connection(connection["id"])
        if before != "observing":
            raise RefusedError(f"connection {connection['name']} is {before}, not observing")
        values = {"state": "active", **(scope_values(scope) if scope is not None else {})}
        table = rows.connections
        self.sql.execute(update(table).where(table.c.id == connection["id"]).values(values))
        self.activated(connection["account_id"])
        audit_from = newest_audit(self.sql)
        count = release_in_order(self.sql, connection["id"])
        self.sql.execute(
            update(plans)
            .where(plans.c.id == plan)
            .values(applied_at=self.now, audit_from=audit_from)
        )
        self.audit(
            connection["account_id"],
            "connection.go_live",
            connection["id"],
            reason=reason,
            before={"state": before},
            after={"state": "active", "events": count, "plan": plan},
        )
        return count

    def _insist_sole_live(self, connection: dict[str, Any]) -> None:
        others = [
            row["state"]
            for row in self.connections(connection["account_id"])
            if row["id"] != connection["id"]
        ]
        self._insist_sole(connection["account_id"], others)

    def happened(self, connection: str, plan: str) -> Plan:
        """What a plan that was applied has come to so far."""
        asked = select(plans.c.audit_from).where(plans.c.id == plan)
        return sum_up(self.sql, connection, int(self.sql.execute(asked).scalar_one()))

    def left_of(self, connection: str) -> int:
        """Events that went live and are not decided yet."""
        events = rows.events
        found = self.sql.execute(
            select(func.count())
            .select_from(events)
            .where(events.c.connection_id == connection, events.c.lane == "bulk")
            .where(events.c.state.in_(["pending", "retrying"]), events.c.state != "ended")
        )
        return int(found.scalar_one())

    # -- lists that were read -------------------------------------------------------------

    def note_backfill(self, connection: dict[str, Any], *, lines: int, stored: int) -> None:
        """S4: from now on the connection is backfilled."""
        row = {
            "id": new_id("bkf"),
            "account_id": connection["account_id"],
            "connection_id": connection["id"],
            "at": self.now,
            "actor": self.actor,
            "lines": lines,
            "stored": stored,
        }
        bulk.insert(self.sql, backfills, [row])
        told = {"lines": lines, "stored": stored}
        self.audit(connection["account_id"], "connection.backfill", connection["id"], after=told)

    def backfilled_at(self, connection: str) -> datetime | None:
        """When the provider's list of this connection was read last."""
        table = backfills
        mine = table.c.connection_id == connection
        newest = select(table.c.at).where(mine).order_by(table.c.at.desc()).limit(1)
        return self.sql.execute(newest).scalar()

    def backfilled(self) -> dict[str, datetime]:
        """When the provider's list was read last, by connection; those without are not there."""
        newest = func.max(backfills.c.at, type_=backfills.c.at.type)
        found = self.sql.execute(
            select(backfills.c.connection_id, newest).group_by(backfills.c.connection_id)
        )
        return {row[0]: row[1] for row in found}


def is_scoped(connection: dict[str, Any]) -> bool:
    """S1: whether it says whom it provisions."""
    return bool(connection["scope_rule"] != ScopeRule.UNSET.value)
