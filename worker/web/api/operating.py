"""What answers tell of operating: events, the audit, and what they are asked for by."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from domain.errors import UsageError
from domain.inbox import Kind, Lane, Outcome, Reason, State
from domain.looking import AuditFilter, EventFilter, subjects_of
from worker.adapters.db.windows import Row
from worker.adapters.sources.registry import known_source
from worker.web.api.paging import Paged
from worker.web.api.texts import Moment, Text


class Event(BaseModel):
    """One event of a delivery, and where it is."""

    id: int
    account: str
    connection: str
    feed: str
    received_at: datetime
    occurred_at: datetime
    type: str = Field(description="The source's own word.")
    subject: str = Field(description="External id of the person or group; empty if unknown.")
    external_id: str = Field(description="The source's own id of the event.")
    kind: Kind
    lane: Lane
    state: State
    outcome: Outcome | None
    reason: Reason | None
    attempts: int
    due_at: datetime | None = Field(description="When it is tried next.")
    ended_at: datetime | None
    replay: str | None = Field(description="Id of the replay or hold that brought it back.")


class Entry(BaseModel):
    """One row of the audit: who did what to whom, why."""

    id: int
    at: datetime
    account: str | None
    actor: str
    action: str
    subject: str
    event: int | None = Field(description="Id of the event that did it; null for people.")
    reason: str
    before: Any
    after: Any


class EventsAsked(Paged):
    """Filters; all that are given must fit."""

    connection: Text | None = Field(None, description="Id of a connection.")
    source: Text | None = Field(None, description="Name of a source, such as `okta`.")
    state: State | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    type: Text | None = None
    subject: Text | None = Field(None, description="External id of a person or group.")
    external_id: Text | None = Field(None, description="The source's own id of the event.")
    email: Text | None = Field(None, description="Address of whom it is about, or waits for.")
    since: Moment | None = Field(None, description="Received then or later.")
    until: Moment | None = None

    def filter(self, accounts: frozenset[str] | None) -> EventFilter:
        """The same for the reading, in these accounts; raises UsageError."""
        return EventFilter(
            accounts=accounts,
            connection=self.connection,
            source=known_source(self.source) if self.source is not None else None,
            state=self.state,
            outcome=self.outcome,
            reason=self.reason,
            type=self.type,
            subject=self.subject,
            external_id=self.external_id,
            address=self.email,
            since=self.since,
            until=self.until,
        )


class AuditAsked(Paged):
    """Filters; all that are given must fit."""

    actor: Text | None = Field(None, description="Such as `token:tok_..` or `cli:ana`.")
    action: Text | None = Field(None, description="Such as `connection.paused`.")
    subject: Text | None = Field(None, description="Id of what was changed.")
    since: Moment | None = None
    until: Moment | None = None
    events: bool = Field(False, description="What events changed, too, not only people.")

    def filter(self, accounts: frozenset[str] | None) -> AuditFilter:
        """The same for the reading, in these accounts."""
        return AuditFilter(
            accounts=accounts,
            subjects=subjects_of(self.subject),
            actor=self.actor,
            action=self.action,
            since=self.since,
            until=self.until,
            with_events=self.events or self.subject is not None,
        )


EventsQuery = Annotated[EventsAsked, Query()]
AuditQuery = Annotated[AuditAsked, Query()]


def number_before(asked: Paged) -> int | None:
    """The id that a page begins behind; None for the first. Raises UsageError."""
    if asked.cursor is None:
        return None
    if not asked.after.isdecimal() or int(asked.after) >= 2**63:
        raise UsageError("cursor: take it as `next` of the page before gave it")
    return int(asked.after)


def event_of(row: Row) -> Event:
    """An event as answers show it."""
    return Event(
        account=row["account_id"],
        connection=row["connection_id"],
        feed=row["feed_id"],
        replay=row["replay_id"],
        **{name: row[name] for name in Event.model_fields if name in row},
    )


def entry_of(row: Row) -> Entry:
    """A row of the audit as answers show it."""
    return Entry(
        account=row["account_id"],
        event=row["event_id"],
        **{name: row[name] for name in Entry.model_fields if name in row},
    )
