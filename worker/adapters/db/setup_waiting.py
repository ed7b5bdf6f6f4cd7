"""Whom SCIM told of with an address that could not be used, asked for once it can (E4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import select

from domain.addressing import DEFAULT, read_anew
from domain.domains import listed_by
from domain.intake import StoredEvent
from domain.values import domain_of
from worker.adapters.db import rows
from worker.adapters.db.mapping import facts_from_bytes
from worker.adapters.db.own_words import OwnWord, OwnWords
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.db.setup_settings import settings_of
from worker.adapters.scim.asking import address, is_guest
from worker.adapters.sources.reconciliation import DESCRIBED


class WaitingSetup(OwnWords):
    """People who are known, and nobody so far."""

    def invite_waiting(
        self, account: str, domain: str, *, reason: str
    ) -> dict[str, list[StoredEvent]]:
        """Describe by events who waits for an address of that entry; the events by connection.

        No identity provider says again by itself what it was answered 201 to.
        """
        table = rows.connections
        mine = (table.c.account_id == account) & (table.c.state != "retired")
        found = [dict(row) for row in self.sql.execute(select(table).where(mine)).mappings()]
        why = {"said": "domain allow", "reason": reason}
        told: dict[str, list[StoredEvent]] = {}
        for connection in found:
            words = list(self._waiting(connection, domain))
            if words:
                told[connection["id"]] = self.say(connection, words, at=self.now, why=why)
        return told

    def _waiting(self, connection: Mapping[str, Any], domain: str) -> Iterator[OwnWord]:
        users, resources = rows.users, scim_resources
        rule = settings_of(connection).get("address", DEFAULT)
        its = (
            (resources.c.connection_id == users.c.connection_id)
            & (resources.c.key == users.c.key)
            & (resources.c.kind == "User")
            & resources.c.deleted_at.is_(None)
        )
        found = self.sql.execute(
            select(users.c.key, users.c.facts, resources.c.document)
            .join(resources, its)
            .where(users.c.connection_id == connection["id"], users.c.person_id.is_(None))
            .order_by(users.c.key)
        )
        for row in found:
            facts, document = facts_from_bytes(row.facts), orjson.loads(row.document)
            email = address(document) if rule == DEFAULT else read_anew(facts, rule)
            if facts.is_described or email is None or not listed_by(domain_of(email), [domain]):
                continue
            more = {"email": email, **({"kind": "guest"} if is_guest(document) else {})}
            yield OwnWord(DESCRIBED, row.key, more)
