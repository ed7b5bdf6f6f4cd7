"""What answers tell of dead letters and replays, and what they are asked for by (G8)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator, BaseModel, Field

from domain.errors import UsageError
from domain.pacing import Pace, PaceChange
from domain.replays import (
    Cause,
    DeadGroup,
    GroupNote,
    ItemSeen,
    ItemState,
    LetterState,
    ReplaySeen,
    ReplayState,
    Report,
    Selection,
    parse_pace,
    parse_rate,
)
from worker.adapters.idn import to_entry
from worker.web.api.asking import Asking
from worker.web.api.paging import Paged, opened
from worker.web.api.texts import Moment, Text, is_text

Number = Annotated[int, Field(ge=1, lt=2**63)]


def _entry(text: str) -> str:
    try:
        return to_entry(text)
    except UsageError as error:
        raise ValueError(str(error)) from None


#: An entry of a list of domains, in A-labels.
Domain = Annotated[Text, AfterValidator(_entry)]


def _lines(text: str) -> str:
    if not all(is_text(line) for line in text.split("\n")):
        raise ValueError("holds a control character")
    return text


class DeadLetter(BaseModel):
    """An event that ended as dead, or a message that was none of ours."""

    id: str = Field(description="Of the event; `d` and a number where none is behind it.")
    event: int | None
    account: str | None
    connection: str | None
    state: LetterState
    reason: str
    cause: Cause = Field(description="Never attempted, refused by a rule, or failed.")
    fingerprint: str = Field(description="Equal for equal causes.")
    type: str | None
    subject: str | None
    first_at: datetime
    last_at: datetime
    attempts: int
    first_error: str
    last_error: str
    applied_part: str | None = Field(description="What of it was applied all the same.")
    note: str


class Group(BaseModel):
    """Open dead letters of one cause."""

    fingerprint: str
    reason: str
    cause: Cause
    count: int
    first_at: datetime
    last_at: datetime
    example: int | None = Field(description="Id of the newest event; null for foreign messages.")
    last_error: str
    trend: list[int] = Field(description="Letters of each of the last 24 hours, the oldest first.")
    notes: int


class Note(BaseModel):
    """What an operator wrote on a group."""

    id: int
    at: datetime
    actor: str
    text: str


class Moved(BaseModel):
    """What a discard or a restore came to: ids of those that were moved."""

    ids: list[str]


class Foretold(BaseModel):
    """Events of which the same is predicted."""

    outcome: str
    reason: str | None
    does: str | None = Field(description="What would be done to people, such as `invite`.")
    events: int


class Replay(BaseModel):
    """A frozen set of dead letters, on its way."""

    id: str
    account: str | None = Field(description="Null where its events are of several accounts.")
    state: ReplayState
    why: str | None = Field(description="Why it was paused, stopped or cancelled.")
    made_by: str
    made_at: datetime
    reason: str
    moved_by: str | None = Field(description="Who brought it into its state.")
    started_at: datetime | None
    ended_at: datetime | None
    selection: dict[str, Any]
    rate: float | None = Field(description="Events a second; null for as fast as it goes.")
    ramp: bool
    stop_percent: int | None
    count: int
    left: int
    seconds_left: float | None
    counts: dict[str, int] = Field(
        description="By `frozen`, `released`, `skipped`, `cancelled`, or what became of them."
    )
    foretold: list[Foretold]
    waits_for: list[str] = Field(description="Paused connections that it has to wait for.")


class Item(BaseModel):
    """One event of a replay."""

    place: int
    event: int
    state: ItemState
    predicted: str | None
    predicted_reason: str | None
    does: str | None
    outcome: str | None
    reason: str | None
    settled_at: datetime | None


class Compared(BaseModel):
    """Events of which the same was predicted, and of which the same became."""

    predicted: str | None
    predicted_reason: str | None
    outcome: str
    reason: str | None
    events: int
    as_predicted: bool


class ReplayReport(BaseModel):
    """What was predicted against what became."""

    as_predicted: int
    otherwise: int
    rows: list[Compared]


class Choice(Asking):
    """Which dead letters: ids, or a filter; what is given must all fit, and something must be."""

    ids: Annotated[list[Number], Field(max_length=10_000)] = Field(default_factory=list)
    account: Text | None = Field(None, description="Id of an account.")
    connection: Text | None = None
    reason: Text | None = None
    fingerprint: Text | None = None
    type: Text | None = None
    detail: Text | None = Field(None, description="Text in the last error.")
    domain: Domain | None = Field(None, description="Refused for want of this domain.")
    since: Moment | None = None
    until: Moment | None = None

    def selection(self) -> Selection:
        """The same for services; raises UsageError where nothing is given."""
        given = self.model_dump(exclude={"ids"})
        chosen = Selection(ids=tuple(self.ids), **given)
        chosen.insist()
        return chosen


class Pacing(Asking):
    """How fast, in which steps, when to stop by itself."""

    rate: Text | None = Field(None, description="`20/s`, `600/m`; left out: as fast as it goes.")
    ramp: bool = Field(False, description="In steps of 1, 10, 100 .., each after the one before.")
    stop_percent: int | None = Field(
        None, ge=0, le=99, description="Failures above which it stops; with a ramp, 20."
    )

    def pace(self) -> Pace:
        """The same for services; raises UsageError."""
        stop_at = None if self.stop_percent is None else str(self.stop_percent)
        return parse_pace(self.rate, has_ramp=self.ramp, stop_at=stop_at)

    def change(self) -> PaceChange:
        """What of it was said; raises UsageError."""
        change, said = PaceChange(), self.model_fields_set
        if "rate" in said:
            change["interval"] = parse_rate(self.rate)
        if "ramp" in said:
            change["has_ramp"] = self.ramp
        if "stop_percent" in said:
            change["stop_percent"] = self.stop_percent
        return change


class Named(Asking):
    """Dead letters by id; a foreign message is `d` and a number."""

    ids: Annotated[list[Text], Field(min_length=1, max_length=10_000)]


class NewNote(Asking):
    """What the next operator should know of a group."""

    fingerprint: Text
    text: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_lines)]


class LettersAsked(Paged):
    """Filters; all that are given must fit."""

    connection: Text | None = None
    state: LetterState = LetterState.OPEN
    reason: Text | None = None
    cause: Cause | None = None
    fingerprint: Text | None = None
    type: Text | None = None
    detail: Text | None = Field(
        None, description="Text in the last error; for who may read bodies, as that is."
    )
    domain: Domain | None = Field(None, description="Refused for want of this domain.")
    since: Moment | None = None
    until: Moment | None = None

    def selection(self) -> Selection:
        """The same for the reading."""
        return Selection(
            connection=self.connection,
            reason=self.reason,
            fingerprint=self.fingerprint,
            type=self.type,
            detail=self.detail,
            domain=self.domain,
            since=self.since,
            until=self.until,
        )


class ReplaysAsked(Paged):
    """Filters."""

    state: Annotated[list[ReplayState], Field(max_length=10)] = Field(default_factory=list)


class ItemsAsked(BaseModel):
    """Where a page of a replay's events begins, and which are wanted."""

    model_config = {"extra": "forbid"}

    limit: int = Field(100, ge=1, le=1_000)
    cursor: Annotated[str, Field(max_length=100)] | None = None
    state: ItemState | None = None
    predicted: Text | None = None
    outcome: Text | None = None
    differs: bool | None = Field(None, description="Whether something else became of it.")


LettersQuery = Annotated[LettersAsked, Query()]
ReplaysQuery = Annotated[ReplaysAsked, Query()]
ItemsQuery = Annotated[ItemsAsked, Query()]


def number_in(cursor: str | None) -> int:
    """The number that a page begins behind, 0 for the first; raises UsageError."""
    if cursor is None:
        return 0
    text = opened(cursor)
    if not (text.isascii() and text.isdecimal() and int(text[:20]) < 2**63):
        raise UsageError("cursor: take it as `next` of the page before gave it")
    return int(text[:20])


def replay_of(seen: ReplaySeen) -> Replay:
    """A replay as answers show it."""
    return Replay.model_validate(seen.as_dict())


def item_of(seen: ItemSeen) -> Item:
    """An event of a replay as answers show it."""
    return Item.model_validate(seen, from_attributes=True)


def report_shape(report: Report) -> ReplayReport:
    """A report as answers show it."""
    rows = [
        Compared(
            predicted=row.predicted,
            predicted_reason=row.predicted_reason,
            outcome=row.outcome,
            reason=row.reason,
            events=row.events,
            as_predicted=row.is_as_predicted,
        )
        for row in report.rows
    ]
    return ReplayReport(as_predicted=report.as_predicted, otherwise=report.otherwise, rows=rows)


def group_of(seen: DeadGroup) -> Group:
    """A group as answers show it."""
    return Group.model_validate(seen.as_dict())


def note_of(seen: GroupNote) -> Note:
    """A note as answers show it."""
    return Note.model_validate(seen, from_attributes=True)
