"""Full lists of a connection's people, held against who is there, in SQL (S3)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from domain.intake import StoredEvent
from domain.listing import Compared, Known, compare
from domain.model import PersonState
from domain.values import to_micros
from worker.adapters.db import rows
from worker.adapters.db.mapping import facts_from_bytes
from worker.adapters.db.own_words import OwnWord, OwnWords
from worker.adapters.sources.reconciliation import LISTED, UNLISTED

_OUT = {PersonState.SUSPENDED.value, PersonState.INVITED_SUSPENDED.value}


@dataclass(frozen=True, slots=True)
class TakenList:
    """What became of a full list. is_on: whether the setting has missing people suspended."""

    is_on: bool
    compared: Compared
    events: list[StoredEvent] = field(default_factory=list)


class ListSetup(OwnWords):
    """The use case that an operator calls, and reconciliation will."""

    def take_list(
        self,
        connection: Mapping[str, Any],
        listed: Collection[str],
        *,
        taken_at: datetime,
        reason: str,
        dry_run: bool = False,
    ) -> TakenList:
        """Have those suspended who are missing, where the connection is set to (S3).

        listed: the external ids of everybody whom the IdP has, complete and not empty: proven by
        the caller. taken_at: when it was asked. Who is back in the list is let in whatever the
        setting says now.
        """
        is_on = json.loads(connection["settings"]).get("suspend_unlisted") == "on"
        compared = compare(self._governed(connection), listed, taken_at=to_micros(taken_at))
        if dry_run:
            return TakenList(is_on, compared)
        words = [OwnWord(LISTED, key, {}) for key in compared.returned]
        words += [OwnWord(UNLISTED, key, {}) for key in compared.missing if is_on]
        why = {"said": "connection list-is", "reason": reason}
        events = self.say(connection, words, at=taken_at, why=why) if words else []
        self.audit(
            connection["account_id"],
            "connection.list_is",
            connection["id"],
            reason=reason,
            after={
                "listed": len(listed),
                "missing": len(compared.missing),
                "suspended": len(compared.missing) if is_on else 0,
                "returned": len(compared.returned),
                "taken_at": taken_at.isoformat(),
            },
        )
        return TakenList(is_on, compared, events)

    def _governed(self, connection: Mapping[str, Any]) -> Iterator[Known]:
        """The connection's subjects that have a person, whom it governs."""
        users, people = rows.users, rows.people
        found = self.sql.execute(
            select(users.c.key, users.c.facts, people.c.state)
            .join(people, people.c.id == users.c.person_id)
            .where(users.c.connection_id == connection["id"])
            .where(people.c.connection_id == connection["id"], people.c.user_key == users.c.key)
        )
        for row in found:
            yield Known(row.key, facts_from_bytes(row.facts), row.state in _OUT)
