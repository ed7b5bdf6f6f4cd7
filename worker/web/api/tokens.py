"""`/v1/tokens`: bearer tokens, shown once (C3)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from starlette.responses import Response

from domain.errors import NothingFoundError
from domain.permissions import NotPermittedError, Permission, permissions_of_scopes
from domain.tokens import check_scopes
from worker.adapters.db import bulk, rows
from worker.adapters.db.setup import SQLSetup
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.asking import Asking, Name
from worker.web.api.caller import Caller, Parts, Tokens
from worker.web.api.finding import found, found_feed
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Text
from worker.web.api.writing import MakesTokens

router = APIRouter(tags=["tokens"], responses=responses(404))


class Token(BaseModel):
    """A token without what lets somebody in."""

    id: str
    prefix: str = Field(description="How it begins, to tell it from others.")
    account: str | None = Field(description="Null for all accounts.")
    feed: str | None = Field(description="The SCIM feed that it speaks for.")
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenMade(Token):
    """A new token."""

    token: str = Field(description="The token itself: shown this once.")


class NewToken(Asking):
    """A token of an account, of a SCIM feed, or of all accounts."""

    name: Name
    scopes: list[Text] = Field(min_length=1, max_length=20)
    account: Text | None = None
    feed: Text | None = Field(None, description="Id of a SCIM feed; then no account.")
    expires_in_days: int | None = Field(None, ge=0, le=36_500)


@router.get("/tokens")
def list_tokens(caller: Tokens, parts: Parts, asked: PagedQuery) -> Page[Token]:
    """In the order of their ids; those that are dead, too."""
    table, mine = rows.tokens, caller.some_accounts(asked.account)
    statement = select(table).where(table.c.id > asked.after).order_by(table.c.id)
    with reading(parts) as connection:
        if mine is not None:
            statement = statement.where(bulk.among(table.c.account_id, sorted(mine), connection))
        seen = connection.execute(statement.limit(asked.limit + 1)).mappings().all()
    items = [_token(row) for row in seen[: asked.limit]]
    return Page(items=items, next=sealed(items[-1].id if len(seen) > asked.limit else None))


@router.post(
    "/tokens",
    status_code=201,
    response_model=TokenMade,
    responses=responses(400, 404, 409, 413, 415),
)
def add_token(asked: NewToken, write: MakesTokens) -> Response:
    """A new token, which may do no more than whoever makes it."""
    own = write.caller.account if asked.feed is None else None
    check_scopes(asked.scopes, account=asked.account or own, feed=asked.feed)
    owner = _owner(asked, write.caller, write.parts)

    def act(use: SQLSetup) -> str:
        days = asked.expires_in_days
        return use.add_token(
            owner,
            name=asked.name,
            scopes=asked.scopes,
            feed=asked.feed,
            expires_at=use.in_days(days) if days is not None else None,
            reason=write.reason,
        )

    return write.set_up(act, _made)


def _owner(asked: NewToken, caller: Caller, parts: Container) -> str | None:
    """Id of the account; raises NotPermittedError for more than the caller may."""
    if not permissions_of_scopes(asked.scopes) <= caller.permissions:
        raise NotPermittedError(caller.actor, Permission.TOKENS)
    if asked.feed is not None:
        return str(found_feed(caller, parts, asked.feed, speaks="scim")["account_id"])
    if asked.account is not None:
        return str(found(caller, parts, rows.accounts, "account", asked.account)["id"])
    return caller.account


@router.delete(
    "/tokens/{token}",
    status_code=204,
    response_model=None,
    responses=responses(400, 404, 413, 415),
)
def revoke_token(
    token: Annotated[str, Path(description="Id of the token.")], write: MakesTokens
) -> Response:
    """Dead at once. Say why."""
    reason = write.because()
    table = rows.tokens
    with reading(write.parts) as connection:
        row = connection.execute(select(table).where(table.c.id == token)).mappings().first()
    if row is None:
        raise NothingFoundError("token", token)
    write.caller.check("token", token, row["account_id"])
    return write.set_up(
        lambda use: use.revoke_token(token, reason=reason), lambda _connection, _none: (204, None)
    )


def _made(connection: Connection, token: str) -> tuple[int, TokenMade]:
    table = rows.tokens
    newest = select(table).where(table.c.prefix == token[:12]).order_by(table.c.created_at.desc())
    row = connection.execute(newest.limit(1)).mappings().one()
    return 201, TokenMade(**_token(row).model_dump(), token=token)


def _token(row: Any) -> Token:
    same = ("id", "prefix", "name", "created_at", "expires_at", "last_used_at", "revoked_at")
    return Token(
        **{name: row[name] for name in same},
        account=row["account_id"],
        feed=row["feed_id"],
        scopes=row["scopes"].split(),
    )
