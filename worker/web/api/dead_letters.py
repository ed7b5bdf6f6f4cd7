"""`/v1/dead-letters`: what died, in groups of one cause; discarded, restored, noted on (G8)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import Response

from domain.display import without_addresses
from domain.errors import NothingFoundError, UsageError
from domain.keys import letter_number
from domain.permissions import Permission
from domain.replays import Cause, cause_of
from worker.adapters.db.dead_queries import (
    dead_groups,
    letters_page,
    newest_letters,
    notes_on,
    one_letter,
)
from worker.adapters.db.engine import Changing
from worker.web.api.answers import reading
from worker.web.api.caller import Caller, Parts, Viewer
from worker.web.api.paging import Page, sealed
from worker.web.api.problems import responses
from worker.web.api.replay_shapes import (
    DeadLetter,
    Group,
    LettersQuery,
    Moved,
    Named,
    NewNote,
    Note,
    group_of,
    note_of,
    number_in,
)
from worker.web.api.texts import Text
from worker.web.api.writing import Discards, Replays, Write

router = APIRouter(tags=["dead letters"], responses=responses(404))
Fingerprint = Annotated[Text, Query(description="Of a group.")]
Account = Annotated[Text | None, Query(description="Id of an account.")]


class GroupsAsked(BaseModel):
    """Filters; all groups are on one page."""

    model_config = {"extra": "forbid"}

    account: Text | None = None
    cause: Cause | None = None
    fingerprint: Text | None = None


@router.get("/dead-letters")
def list_dead_letters(caller: Viewer, parts: Parts, asked: LettersQuery) -> Page[DeadLetter]:
    """The oldest first."""
    within = caller.some_accounts(asked.account)
    if asked.detail is not None:
        # Errors tell of people: who is not shown an address must not guess it, either.
        caller.asker.check(Permission.VIEW_BODIES)
    with reading(parts) as sql:
        found, after = letters_page(
            sql,
            asked.selection(),
            within=within,
            state=asked.state,
            cause=asked.cause,
            after=number_in(asked.cursor),
            limit=asked.limit,
        )
    last = str(after) if after is not None else None
    return Page(items=[_letter(caller, row) for row in found], next=sealed(last))


@router.get("/dead-letters/groups")
def list_groups_of_dead_letters(
    caller: Viewer, parts: Parts, asked: Annotated[GroupsAsked, Query()]
) -> Page[Group]:
    """Open ones by cause, the largest group first; all on one page."""
    within = caller.some_accounts(asked.account)
    with reading(parts) as sql:
        found = dead_groups(sql, within=within, cause=asked.cause, fingerprint=asked.fingerprint)
    groups = [group_of(one) for one in found]
    if not caller.may(Permission.VIEW_BODIES):
        for group in groups:
            group.last_error = without_addresses(group.last_error)
    return Page(items=groups, next=None)


@router.get("/dead-letters/groups/examples")
def list_examples(
    caller: Viewer, parts: Parts, fingerprint: Fingerprint, account: Account = None
) -> Page[DeadLetter]:
    """The five newest of a group."""
    within = caller.some_accounts(account)
    with reading(parts) as sql:
        found = newest_letters(sql, fingerprint, within=within)
    return Page(items=[_letter(caller, row) for row in found], next=None)


@router.get("/dead-letters/groups/notes")
def list_notes(
    caller: Viewer, parts: Parts, fingerprint: Fingerprint, account: Account = None
) -> Page[Note]:
    """What operators wrote on a group, the oldest first."""
    within = caller.some_accounts(account)
    with reading(parts) as sql:
        found = notes_on(sql, fingerprint, within=within)
    return Page(items=[note_of(one) for one in found], next=None)


@router.post(
    "/dead-letters/groups/notes",
    status_code=201,
    response_model=Page[Note],
    responses=responses(400, 404, 409, 413, 415),
)
def add_note(asked: NewNote, write: Replays) -> Response:
    """What the next operator should know; all notes on the group."""

    def act(database: Changing) -> object:
        notes = write.parts.replays.notes_on(database)
        return notes.add(asked.fingerprint, asked.text, write.caller.asker)

    def told(_sql: Connection, notes: Any) -> tuple[int, Page[Note]]:
        return 201, Page(items=[note_of(one) for one in notes], next=None)

    return write.answered(act, told)


@router.get("/dead-letters/{letter}")
def show_dead_letter(
    letter: Annotated[str, Path(description="Id of the event, or `d` and a number.")],
    caller: Viewer,
    parts: Parts,
) -> DeadLetter:
    """One; the story of its event is `/events/{event}`."""
    number = letter_number(letter)
    with reading(parts) as sql:
        row = one_letter(sql, number, within=caller.accounts)
    return _letter(caller, row)


@router.post(
    "/dead-letters/discard", response_model=Moved, responses=responses(400, 404, 409, 413, 415)
)
def discard(asked: Named, write: Discards) -> Response:
    """Give dead letters up; they are kept. Say why."""
    reason = write.because()
    return _moved(
        write,
        lambda database: write.parts.replays.discards_on(database).discard(
            _numbers(asked), write.caller.asker, reason=reason
        ),
    )


@router.post(
    "/dead-letters/restore", response_model=Moved, responses=responses(400, 404, 409, 413, 415)
)
def restore(asked: Named, write: Discards) -> Response:
    """Take discards back. Say why."""
    reason = write.because()
    return _moved(
        write,
        lambda database: write.parts.replays.discards_on(database).restore(
            _numbers(asked), write.caller.asker, reason=reason
        ),
    )


def _moved(write: Write, act: Any) -> Response:
    def told(_sql: Connection, ids: Any) -> tuple[int, Moved]:
        return 200, Moved(ids=[str(i) if i > 0 else f"d{-i}" for i in ids])

    return write.answered(act, told)


def _numbers(asked: Named) -> list[int]:
    try:
        return [letter_number(one) for one in asked.ids]
    except NothingFoundError as error:
        raise UsageError(f"ids: {error}") from None


def _letter(caller: Caller, row: dict[str, Any]) -> DeadLetter:
    told = {name: row[name] for name in DeadLetter.model_fields if name in row}
    if not caller.may(Permission.VIEW_BODIES):
        for name in ("first_error", "last_error", "note"):
            told[name] = without_addresses(told[name])
    named = {"id": str(row["id"]), "event": row["event_id"], "cause": cause_of(row["reason"])}
    owner = {"account": row["account_id"], "connection": row["connection_id"]}
    return DeadLetter(**{**told, **named, **owner})
