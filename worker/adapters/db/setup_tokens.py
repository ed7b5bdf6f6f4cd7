"""Tokens in SQL: hashed, scoped, revocable (C3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update

from domain.errors import NothingFoundError
from worker.adapters.db import bulk, rows
from worker.adapters.db.setup_part import SetupPart
from worker.adapters.vault import new_id, new_token, token_digest

#: What a provider's own token may do.
FEED_SCOPES = ("scim:read", "scim:write")


class TokenSetup(SetupPart):
    """Tokens of operators, applications and feeds."""

    def add_token(
        self,
        account: str | None,
        *,
        name: str,
        scopes: Sequence[str],
        feed: str | None = None,
        expires_at: datetime | None = None,
        reason: str = "",
    ) -> str:
        """A bearer token, shown once and stored as a digest (C3, D18)."""
        token, made = f"rst_{new_token()}", new_id("tok")
        bulk.insert(
            self.sql,
            rows.tokens,
            [
                {
                    "id": made,
                    "prefix": token[:12],
                    "hash": token_digest(token),
                    "account_id": account,
                    "feed_id": feed,
                    "name": name,
                    "scopes": " ".join(scopes),
                    "created_at": self.now,
                    "expires_at": expires_at,
                    "last_used_at": None,
                    "revoked_at": None,
                }
            ],
        )
        told = {"name": name, "scopes": list(scopes), "feed": feed}
        self.audit(account, "token.add", made, reason=reason, after=told)
        return token

    def add_feed_token(
        self,
        account: str,
        feed: str,
        *,
        name: str,
        scopes: Sequence[str] = FEED_SCOPES,
        expires_at: datetime | None = None,
    ) -> str:
        """A token that speaks for one SCIM feed; those before it stay (C3)."""
        return self.add_token(account, name=name, scopes=scopes, feed=feed, expires_at=expires_at)

    def tokens(self) -> list[dict[str, Any]]:
        """All tokens without anything that lets somebody in."""
        table = rows.tokens
        shown = [c for c in table.c if c.name != "hash"]
        return [
            dict(r)
            for r in self.sql.execute(select(*shown).order_by(table.c.created_at)).mappings()
        ]

    def token_told(self, token: str) -> dict[str, Any]:
        """The live token of this id, or that begins so; raises NothingFoundError."""
        table = rows.tokens
        shown = (table.c.prefix, table.c.name, table.c.last_used_at)
        found = self.sql.execute(select(*shown).where(_is_live(token))).mappings().first()
        if found is None:
            raise NothingFoundError("live token", token)
        return dict(found)

    def revoke_token(self, token: str, *, reason: str) -> None:
        """Dead at once; raises NothingFoundError."""
        table = rows.tokens
        gone = update(table).where(_is_live(token)).values(revoked_at=self.now)
        told = self.sql.execute(gone.returning(table.c.id, table.c.account_id)).all()
        if not told:
            raise NothingFoundError("live token", token)
        for one in told:
            self.audit(one.account_id, "token.revoke", one.id, reason=reason)


def _is_live(token: str) -> ColumnElement[bool]:
    table = rows.tokens
    is_named = (table.c.id == token) | (table.c.prefix == token[:12])
    return and_(is_named, table.c.revoked_at.is_(None))
