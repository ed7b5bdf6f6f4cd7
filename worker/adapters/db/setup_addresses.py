"""Another address rule for a connection, in SQL: whose address changes, and having it so (E9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from domain.addressing import DEFAULT, NewAddress, read_anew
from domain.intake import StoredEvent
from domain.values import normalise_address
from worker.adapters.db import rows
from worker.adapters.db.mapping import facts_from_bytes
from worker.adapters.db.own_words import OwnWord, OwnWords
from worker.adapters.db.setup_settings import settings_of
from worker.adapters.sources.reconciliation import READ_ANEW


@dataclass(frozen=True, slots=True)
class ReadAnew:
    """What is known under another rule. lacking: external ids of whom it gives no address of."""

    new: tuple[NewAddress, ...]
    lacking: tuple[str, ...]


class AddressSetup(OwnWords):
    """Reading anew what was stored: no identity provider sends it again by itself."""

    def read_anew(self, connection: Mapping[str, Any], rule: str) -> ReadAnew:
        """Whose address another rule changes, by the facts that are stored; nothing is changed."""
        new, lacking = [], []
        for key, asked, given in self._addresses(connection, rule):
            if given is None:
                lacking.append(key)
            elif normalise_address(given) != normalise_address(asked):
                new.append(NewAddress(key, asked, given))
        return ReadAnew(tuple(new), tuple(lacking))

    def change_addresses(
        self, connection: Mapping[str, Any], new: Sequence[NewAddress], *, reason: str
    ) -> list[StoredEvent]:
        """Have them changed by events like any other, through breaker and confirmations."""
        was_default = settings_of(connection).get("address", DEFAULT) == DEFAULT
        words = [
            OwnWord(
                READ_ANEW,
                one.user,
                {"email": one.after, **({"told": one.before} if was_default else {})},
            )
            for one in new
        ]
        why = {"said": "connection set address", "reason": reason}
        return self.say(connection, words, at=self.now, why=why) if words else []

    def _addresses(
        self, connection: Mapping[str, Any], rule: str
    ) -> Iterator[tuple[str, str, str | None]]:
        """External id, the address that the IdP asked for last, the one that the rule gives."""
        users = rows.users
        found = self.sql.execute(
            select(users.c.key, users.c.facts)
            .where(users.c.connection_id == connection["id"])
            .order_by(users.c.key)
        )
        for row in found:
            facts = facts_from_bytes(row.facts)
            if facts.is_described and facts.emails:
                yield row.key, str(facts.emails[-1].value), read_anew(facts, rule)
