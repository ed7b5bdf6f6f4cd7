"""Who speaks SCIM: the feed behind a bearer token, as it is now (C3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, null, or_, select, update

from domain.policy import ScopeRule
from domain.ports import InfrastructureError
from domain.resources import Speaker
from worker.adapters.db import rows
from worker.adapters.db.direct import direct_of
from worker.adapters.db.direct_statements import SPEAKERS
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.token_use import TOLD_EVERY
from worker.adapters.db.uow import database_now
from worker.adapters.sources.scim import NAME
from worker.adapters.vault import token_digest

_PREFIX = 12
#: That a feed was heard is written this often at most.
HEARD_EVERY = timedelta(seconds=15)
_PAUSED, _OBSERVING, _RETIRED = "paused", "observing", "retired"


class Spoken(NamedTuple):
    """A speaker, and whether it is time to write that the token is used and the feed heard.

    dialect: the identity provider that the feed was last known to be spoken by.
    """

    speaker: Speaker
    is_use_untold: bool
    is_heard_untold: bool
    dialect: str | None


def speaker_of(sql: Connection, bearer: str, feed: str | None) -> Spoken | None:
    """Who presents this token; None unless it is live and speaks for a SCIM feed.

    feed: the one that the path names. A token of an account without a feed of its own speaks for
    the feed of that account that the path names, or for its only one.
    """
    if not bearer.isascii() or not bearer.isprintable() or not (feed or "").isprintable():
        return None
    digest = token_digest(bearer)
    found = _tokens(sql, bearer[:_PREFIX], feed)
    mine = [row for row in found if compare_digest(row["hash"], digest)]
    if len(mine) != 1:
        return None
    now = mine[0]["now"] or database_now(sql)
    ends = mine[0]["expires_at"]
    return _spoken(mine[0], now) if ends is None or ends > now else None


def _tokens(sql: Connection, prefix: str, feed: str | None) -> Sequence[Mapping[str, Any]]:
    """Asked with every request, so by hand where it can be."""
    if direct := direct_of(sql):
        return [row for row in direct.ask(SPEAKERS, prefix) if feed in (None, row["feed"])]
    statement = _speakers(sql).where(rows.tokens.c.prefix == prefix)
    mine = statement if feed is None else statement.where(rows.feeds.c.id == feed)
    return [dict(row) for row in sql.execute(mine).mappings()]


def _speakers(sql: Connection) -> Select[Any]:
    """Live tokens with the SCIM feeds that they may speak for."""
    tokens, feeds, connections = rows.tokens, rows.feeds, rows.connections
    is_postgres = sql.dialect.name == "postgresql"
    return (
        select(
            tokens.c.id,
            tokens.c.hash,
            tokens.c.scopes,
            tokens.c.expires_at,
            tokens.c.last_used_at,
            feeds.c.id.label("feed"),
            feeds.c.state.label("feed_state"),
            feeds.c.last_heard_at,
            feeds.c.dialect,
            connections.c.id.label("connection"),
            connections.c.account_id,
            connections.c.state.label("connection_state"),
            connections.c.settings,
            connections.c.scope_rule,
            # The database's clock, in the same question.
            (func.clock_timestamp() if is_postgres else null()).label("now"),
        )
        .join(connections, connections.c.account_id == tokens.c.account_id)
        .join(feeds, feeds.c.connection_id == connections.c.id)
        .where(tokens.c.revoked_at.is_(None))
        .where(feeds.c.source == NAME, feeds.c.state != _RETIRED)
        .where(connections.c.state != _RETIRED)
        .where(or_(tokens.c.feed_id.is_(None), tokens.c.feed_id == feeds.c.id))
    )


def _spoken(row: Mapping[str, Any], now: datetime) -> Spoken:
    states = (row["connection_state"], row["feed_state"])
    state = next((one for one in (_PAUSED, _OBSERVING) if one in states), "active")
    speaker = Speaker(
        token=row["id"],
        scopes=frozenset(row["scopes"].split()),
        account=row["account_id"],
        connection=row["connection"],
        feed=row["feed"],
        state=state,
        settings=json.loads(row["settings"]),
        is_scoped=row["scope_rule"] in (ScopeRule.GROUPS, ScopeRule.ASSIGNMENT),
    )
    return Spoken(
        speaker,
        is_use_untold=_is_due(row["last_used_at"], now, TOLD_EVERY),
        is_heard_untold=_is_due(row["last_heard_at"], now, HEARD_EVERY),
        dialect=row["dialect"],
    )


def _is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    return last is None or now - last >= every


def speaker_again(sql: Connection, token: str, feed: str) -> Speaker | None:
    """Who asked earlier, as they are now; None once the token or the connection is gone."""
    found = sql.execute(_speakers(sql).where(rows.tokens.c.id == token, rows.feeds.c.id == feed))
    row = found.mappings().first()
    if row is None:
        return None
    now = row["now"] or database_now(sql)
    is_live = row["expires_at"] is None or row["expires_at"] > now
    return _spoken(dict(row), now).speaker if is_live else None


def note_heard(database: Database, spoken: Spoken) -> None:
    """Write what is due of "last used" and "last heard". Where it fails, the next request does."""
    if not (spoken.is_use_untold or spoken.is_heard_untold):
        return
    tokens, feeds = rows.tokens, rows.feeds
    with suppress(InfrastructureError), translated(), database.begin() as sql:
        now = database_now(sql)
        mine = tokens.c.id == spoken.speaker.token
        due = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= now - TOLD_EVERY)
        sql.execute(update(tokens).where(mine, due).values(last_used_at=now))
        heard = feeds.c.id == spoken.speaker.feed
        due = or_(feeds.c.last_heard_at.is_(None), feeds.c.last_heard_at <= now - HEARD_EVERY)
        sql.execute(update(feeds).where(heard, due).values(last_heard_at=now))
        sql.commit()


def note_dialect(database: Database, spoken: Spoken, dialect: str) -> None:
    """Write who speaks: the first time, and when it is time to write that the feed was heard."""
    if dialect == spoken.dialect or (spoken.dialect is not None and not spoken.is_heard_untold):
        return
    feeds = rows.feeds
    with suppress(InfrastructureError), translated(), database.begin() as sql:
        mine = update(feeds).where(feeds.c.id == spoken.speaker.feed)
        sql.execute(mine.values(dialect=dialect))
        sql.commit()
