"""Endpoints of applications and their signing secrets in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from domain.announcements import AnnouncementType
from domain.dispatches import EndpointState
from domain.errors import NothingFoundError, RefusedError
from worker.adapters.db import bulk
from worker.adapters.db.alerts import settle_alert
from worker.adapters.db.dispatches import DISABLED_TOPIC
from worker.adapters.db.outbound_rows import (
    announcements,
    dispatches,
    endpoint_secrets,
    endpoints,
)
from worker.adapters.db.setup_part import SetupPart
from worker.adapters.vault import new_id


class EndpointSetup(SetupPart):
    """Where applications listen."""

    def add_endpoint(
        self, account: str, url: str, *, types: Sequence[AnnouncementType], secret: str
    ) -> str:
        """An endpoint with its first secret; no types: it hears of all. Returns its id."""
        endpoint = new_id("end")
        row = {
            "id": endpoint,
            "account_id": account,
            "url": url,
            "types": "".join(f",{one.value}" for one in types) + ("," if types else ""),
            "state": EndpointState.ACTIVE.value,
            "why": "",
            "created_at": self.now,
            "changed_at": self.now,
            "failures": 0,
            "failing_since": None,
            "rests_until": None,
            "last_error": None,
        }
        bulk.insert(self.sql, endpoints, [row])
        self._add_endpoint_secret(endpoint, secret)
        told = {"url": url, "types": [one.value for one in types]}
        self.audit(account, "endpoint.add", endpoint, after=told)
        return endpoint

    def endpoints(self, account: str | None = None) -> list[dict[str, Any]]:
        """Endpoints that are not removed, of one account or all, with what waits for them."""
        statement = select(endpoints).where(endpoints.c.state != EndpointState.REMOVED.value)
        if account is not None:
            statement = statement.where(endpoints.c.account_id == account)
        found = self.sql.execute(
            statement.order_by(endpoints.c.account_id, endpoints.c.created_at)
        ).mappings()
        return [self._shown(dict(row)) for row in found]

    def endpoint(self, endpoint: str, *, account: str | None = None) -> dict[str, Any]:
        """An endpoint by id; another account's is unknown. Raises NothingFoundError."""
        mine = [endpoints.c.id == endpoint, endpoints.c.state != EndpointState.REMOVED.value]
        if account is not None:
            mine.append(endpoints.c.account_id == account)
        row = self.sql.execute(select(endpoints).where(*mine)).mappings().first()
        if row is None:
            raise NothingFoundError("endpoint", endpoint)
        return self._shown(dict(row))

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        mine = dispatches.c.endpoint_id == row["id"]
        waits = select(func.count()).where(mine, dispatches.c.due_at.is_not(None))
        types = [one for one in row.pop("types").split(",") if one]
        waiting = self.sql.execute(waits).scalar_one()
        return {**row, "types": types, "waiting": waiting}

    def dispatches_of(self, endpoint: str, *, limit: int = 20) -> list[dict[str, Any]]:
        """What was sent or waits, the newest first. cursor: where a replay begins after it."""
        found = self.sql.execute(
            select(
                announcements.c.id.label("cursor"),
                announcements.c.message_id,
                announcements.c.type,
                announcements.c.made_at,
                dispatches.c.subject,
                dispatches.c.sequence,
                dispatches.c.state,
                dispatches.c.attempts,
                dispatches.c.due_at,
                dispatches.c.ended_at,
                dispatches.c.last_error,
            )
            .join(dispatches, dispatches.c.announcement_id == announcements.c.id)
            .where(dispatches.c.endpoint_id == endpoint)
            .order_by(announcements.c.id.desc())
            .limit(limit)
        ).mappings()
        return [dict(row) for row in found]

    def rotate_endpoint(
        self, endpoint: dict[str, Any], secret: str, *, old_until: datetime
    ) -> None:
        """C3: the new secret signs at once, beside the old ones until the given moment."""
        table = endpoint_secrets
        mine = table.c.endpoint_id == endpoint["id"]
        is_living = table.c.expires_at.is_(None) | (table.c.expires_at > old_until)
        self.sql.execute(update(table).where(mine, is_living).values(expires_at=old_until))
        self._add_endpoint_secret(endpoint["id"], secret)
        told = {"old_until": old_until.isoformat()}
        self.audit(endpoint["account_id"], "endpoint.rotate", endpoint["id"], after=told)

    def pause_endpoint(self, endpoint: dict[str, Any], *, reason: str) -> None:
        """Keep what is announced, send nothing; raises RefusedError unless it is active."""
        if endpoint["state"] != EndpointState.ACTIVE:
            raise RefusedError(f"endpoint {endpoint['id']} is {endpoint['state']} already")
        self._set_endpoint(endpoint, EndpointState.PAUSED, reason)

    def resume_endpoint(self, endpoint: dict[str, Any], *, reason: str) -> int:
        """Send again, all that was kept first; how much that is. Its failures are forgotten."""
        clean = {"failures": 0, "failing_since": None, "rests_until": None, "last_error": None}
        self._set_endpoint(endpoint, EndpointState.ACTIVE, reason, **clean)
        settle_alert(
            self.sql,
            topic=DISABLED_TOPIC,
            subject=endpoint["id"],
            account=endpoint["account_id"],
        )
        mine = dispatches.c.endpoint_id == endpoint["id"]
        self.sql.execute(
            update(dispatches).where(mine, dispatches.c.state == "pending").values(due_at=self.now)
        )
        return int(endpoint["waiting"])

    def remove_endpoint(self, endpoint: dict[str, Any], *, reason: str) -> int:
        """For good: its secrets are gone, what waited is dropped; how much that was."""
        self._set_endpoint(endpoint, EndpointState.REMOVED, reason)
        table = endpoint_secrets
        self.sql.execute(table.delete().where(table.c.endpoint_id == endpoint["id"]))
        mine = dispatches.c.endpoint_id == endpoint["id"]
        gone = {"state": "dropped", "due_at": None, "ended_at": self.now}
        dropped = self.sql.execute(
            update(dispatches).where(mine, dispatches.c.due_at.is_not(None)).values(gone)
        )
        return dropped.rowcount

    def _set_endpoint(
        self, endpoint: dict[str, Any], state: EndpointState, reason: str, **more: object
    ) -> None:
        self.sql.execute(
            update(endpoints)
            .where(endpoints.c.id == endpoint["id"])
            .values(state=state.value, why=reason, changed_at=self.now, **more)
        )
        what = f"endpoint.{state.value}"
        self.audit(endpoint["account_id"], what, endpoint["id"], reason=reason)

    def _add_endpoint_secret(self, endpoint: str, secret: str) -> None:
        row = {
            "id": new_id("sec"),
            "endpoint_id": endpoint,
            "ciphertext": self.vault.seal(secret.encode()),
            "created_at": self.now,
            "expires_at": None,
        }
        bulk.insert(self.sql, endpoint_secrets, [row])
