"""What rosterd itself says in a connection's name: deliveries and events like any other (S3, E9).

They wait in the inbox, are held by pauses and by the breaker, counted, ordered by their stamps, and
tell who had them said: the operator and the reason stand where a request has its headers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import select, update

from domain.inbox import Lane
from domain.intake import FeedView, NewEvent, StoredEvent, Submission, digest_of, printable
from worker.adapters.db import bulk, rows
from worker.adapters.db.ingest import store_inside
from worker.adapters.db.setup_part import SetupPart
from worker.adapters.sources.reconciliation import KINDS, NAME
from worker.adapters.vault import new_id

#: Events in one delivery: a worker reads the whole body for any of them.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class OwnWord:
    """One thing to say of a subject. type: one of the source `reconciliation`'s.

    at: when it was true, where that is another moment than of the words beside it.
    """

    type: str
    subject: str
    more: Mapping[str, Any]
    at: datetime | None = None


class OwnWords(SetupPart):
    """Saying something in the name of a connection."""

    def say(
        self,
        connection: Mapping[str, Any],
        words: Sequence[OwnWord],
        *,
        at: datetime,
        why: Mapping[str, str],
        is_bulk: bool = False,
    ) -> list[StoredEvent]:
        """Store events, as of a moment; what they touch is applied by workers.

        why: what an operator will ask: which command, by whom, with which reason. is_bulk: all of
        them give way to live traffic, suspensions too.
        """
        run = new_id("own")
        feed = self._feed_view(connection)
        headers = orjson.dumps({"actor": self.actor, "run": run, **why})
        group = [
            replace(
                _submission(feed, part, headers, run=f"{run}:{number}", at=at),
                lane=Lane.BULK if is_bulk else None,
            )
            for number, part in enumerate(_parts(words))
        ]
        stored = [
            event for one in store_inside(self.sql, self.vault, group) for event in one.events
        ]
        if not is_bulk:
            self._leave_the_rest_to_bulk([event.id for event in stored])
        return stored

    def _feed_view(self, connection: Mapping[str, Any]) -> FeedView:
        feed, state = self._own_feed(connection)
        return FeedView(
            id=feed,
            connection=connection["id"],
            account=connection["account_id"],
            source=NAME,
            is_held=connection["state"] != "active" or state != "active",
            secrets=(),
        )

    def _own_feed(self, connection: Mapping[str, Any]) -> tuple[str, str]:
        """Id and state of the connection's feed for our own words, made at first use."""
        feeds = rows.feeds
        found = self.sql.execute(
            select(feeds.c.id, feeds.c.state).where(
                feeds.c.connection_id == connection["id"], feeds.c.source == NAME
            )
        ).first()
        if found is not None:
            return found.id, found.state
        new = {
            "id": new_id("fed"),
            "connection_id": connection["id"],
            "source": NAME,
            "state": "active",
            "created_at": self.now,
        }
        bulk.insert(self.sql, feeds, [new])
        self.audit(connection["account_id"], "feed.add", new["id"], after={"source": NAME})
        return new["id"], "active"

    def _leave_the_rest_to_bulk(self, ids: Sequence[int]) -> None:
        """Suspensions stay urgent; the rest gives way to live traffic."""
        events = rows.events
        self.sql.execute(
            update(events)
            .where(bulk.among(events.c.id, sorted(ids), self.sql))
            .where(events.c.lane == Lane.STANDARD.value)
            .values(lane=Lane.BULK.value)
        )


def _parts(words: Sequence[OwnWord]) -> list[Sequence[OwnWord]]:
    return [words[first : first + AT_ONCE] for first in range(0, len(words), AT_ONCE)]


def _submission(
    feed: FeedView, words: Sequence[OwnWord], headers: bytes, *, run: str, at: datetime
) -> Submission:
    told = [{"type": word.type, "id": word.subject, **word.more} for word in words]
    body = orjson.dumps({"events": told})
    events = tuple(
        NewEvent(
            digest=digest_of(f"{run}:{number}"),
            content=sha256(orjson.dumps(told[number])).digest(),
            external_id=f"{run}:{number}",
            type=word.type,
            subject=printable(word.subject),
            kind=KINDS[word.type],
            occurred_at=word.at or at,
        )
        for number, word in enumerate(words)
    )
    return Submission(
        feed=feed,
        credential="",
        headers=headers,
        body=body,
        body_digest=sha256(body).digest(),
        is_cut=False,
        events=events,
        success_status=200,
    )
