"""`/v1/users`, what only operators do: stories, overrides, break-glass, moves (U6, U9, C1)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from starlette.responses import Response

from domain.consequences import LinkKind
from domain.errors import NothingFoundError, RefusedError
from domain.model import Override, Person
from domain.moving import NOBODY, UNCHANGED, Wanted
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Changing
from worker.adapters.db.override_rows import overrides
from worker.adapters.db.overriding import SQLOverrides
from worker.adapters.db.people_queries import standing_of
from worker.adapters.db.setup import SQLSetup
from worker.adapters.db.taking_over import Taking
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.finding import found
from worker.web.api.groups import found_group
from worker.web.api.paging import Page, Paged, sealed
from worker.web.api.problems import responses
from worker.web.api.shapes import User, users_of
from worker.web.api.texts import Moment, Text
from worker.web.api.users import found_person
from worker.web.api.writing import Configures, Write, Writes

router = APIRouter(tags=["users"], responses=responses(404))
WRITES = responses(400, 404, 409, 413, 415)
Who = Annotated[str, Path(description="Id of the person.")]


class Standing(BaseModel):
    """Why somebody is as they are: what each feed said last, overrides, links with their mails."""

    user: User
    state_without_override: str | None
    last_word_on_active: dict[str, Any]
    scope: dict[str, Any]
    addresses_asked_for: list[dict[str, Any]]
    overrides: list[dict[str, Any]]
    links: list[dict[str, Any]]


class NewOverride(Asking):
    """For a while an operator outranks the identity provider (U9)."""

    wanted: Override
    until: Moment


class OverrideShown(BaseModel):
    """An override. ended_at: null while it is in force."""

    id: str
    account: str
    user: str
    wanted: Override
    until: datetime
    reason: str
    made_at: datetime
    made_by: str
    ended_at: datetime | None
    ended_by: str | None


class OverridesAsked(Paged):
    """Filters."""

    ended: bool = Field(False, description="Those that are over, too.")


class Revoked(BaseModel):
    """The link that is dead."""

    user: str
    kind: LinkKind
    address: str


class Move(Asking):
    """Another connection governs from now on (C1)."""

    to: Text = Field(description="Id of the connection.")
    external_id: Text = Field(description="What it calls them.")
    dry_run: bool = False


class MovedTo(BaseModel):
    """What a move came to."""

    id: str
    to: str
    external_id: str
    changed: bool
    dry_run: bool


@router.get("/users/{user}/standing")
def show_standing(user: Who, caller: Viewer, parts: Parts) -> Standing:
    """What is, what the identity provider wants, each feed's last word, what is mailed."""
    with reading(parts) as connection:
        person = found_person(connection, caller, user)
        told = standing_of(connection, person)
        return Standing(user=users_of(connection, [person])[0], **told)


@router.get("/overrides")
def list_overrides(
    caller: Viewer, parts: Parts, asked: Annotated[OverridesAsked, Query()]
) -> Page[OverrideShown]:
    """In the order of their ids."""
    mine = caller.some_accounts(asked.account)
    statement = select(overrides).where(overrides.c.id > asked.after).order_by(overrides.c.id)
    if not asked.ended:
        statement = statement.where(overrides.c.ended_at.is_(None))
    with reading(parts) as connection:
        if mine is not None:
            among = bulk.among(overrides.c.account_id, sorted(mine), connection)
            statement = statement.where(among)
        seen = connection.execute(statement.limit(asked.limit + 1)).mappings().all()
    items = [
        OverrideShown(
            account=row["account_id"],
            user=row["person_id"],
            **{name: row[name] for name in OverrideShown.model_fields if name in row},
        )
        for row in seen[: asked.limit]
    ]
    return Page(items=items, next=sealed(items[-1].id if len(seen) > asked.limit else None))


@router.put("/users/{user}/override", response_model=User, responses=WRITES)
def begin_override(user: Who, asked: NewOverride, write: Writes) -> Response:
    """U9: keep somebody in or out for a while; a former override is replaced. Say why."""
    reason, person = write.because(), _person(user, write)
    answer = write.answered(
        lambda database: _overrides(write, database).begin(
            person.id,
            asked.wanted,
            until=asked.until,
            actor=write.caller.actor,
            reason=reason,
            account=person.account,
        ),
        _told,
    )
    write.parts.ring_notices()
    return answer


@router.delete("/users/{user}/override", response_model=User, responses=WRITES)
def end_override(user: Who, write: Writes) -> Response:
    """U9: before its time."""
    person = _person(user, write)
    answer = write.answered(
        lambda database: _overrides(write, database).end(
            person.id, actor=write.caller.actor, reason=write.reason, account=person.account
        ),
        _told,
    )
    write.parts.ring_notices()
    return answer


@router.put("/users/{user}/break-glass", response_model=User, responses=WRITES)
def set_break_glass(user: Who, write: Writes) -> Response:
    """U6: provisioning may not touch this person. Say why."""
    return _break_glass(user, write, is_on=True)


@router.delete("/users/{user}/break-glass", response_model=User, responses=WRITES)
def clear_break_glass(user: Who, write: Writes) -> Response:
    """U6: provisioning may touch this person again. Say why."""
    return _break_glass(user, write, is_on=False)


def _break_glass(user: str, write: Write, *, is_on: bool) -> Response:
    reason, person = write.because(), _person(user, write)
    return write.answered(
        lambda database: write.parts.people_on(database).set_break_glass(
            person.id,
            is_on=is_on,
            actor=write.caller.actor,
            reason=reason,
            account=person.account,
        ),
        _told,
    )


@router.post("/users/{user}/revoke-invitation", response_model=Revoked, responses=WRITES)
def revoke_invitation(user: Who, write: Writes) -> Response:
    """The open link dies, of an invitation or a change of address; `resend` opens another."""
    reason, person = write.because(), _person(user, write)
    return write.answered(
        lambda database: write.parts.members_on(database).revoke(
            person.id, account=person.account, actor=write.caller.actor, reason=reason
        ),
        lambda _c, link: (200, Revoked(user=person.id, kind=link.kind, address=link.address)),
    )


@router.post("/users/{user}/move", response_model=MovedTo, responses=WRITES)
def move_user(user: Who, asked: Move, write: Configures) -> Response:
    """C1: another connection governs this person; nobody is invited again. Say why."""
    person = _person(user, write)
    return _move(asked, Wanted(1, asked.external_id, person=person.id), person.account, write)


@router.post("/groups/{group}/move", response_model=MovedTo, responses=WRITES, tags=["groups"])
def move_group(
    group: Annotated[str, Path(description="Id of the group.")], asked: Move, write: Configures
) -> Response:
    """C1: another connection governs this group; members whom it governs, too, stay. Say why."""
    with reading(write.parts) as connection:
        seen = found_group(connection, write.caller, group)
    told = f"{seen.told.connection}:{seen.told.key}" if seen.told is not None else seen.id
    wanted = Wanted(1, asked.external_id, kind="group", group=told)
    return _move(asked, wanted, seen.account, write)


def _move(asked: Move, wanted: Wanted, account: str, write: Write) -> Response:
    reason = write.reason if asked.dry_run else write.because()
    taker = found(write.caller, write.parts, rows.connections, "connection", asked.to)
    if taker["account_id"] != account:
        raise NothingFoundError("connection", asked.to)

    def act(use: SQLSetup) -> MovedTo:
        retired = use.retired_of(account)
        (verdict,) = use.take_over(Taking(taker, None, retired, reason), [wanted])
        if verdict.problem == NOBODY:
            raise NothingFoundError(wanted.kind, wanted.person or wanted.group or "")
        if verdict.problem not in ("", UNCHANGED):
            raise RefusedError(f"not moved ({verdict.problem}): {verdict.says}")
        if asked.dry_run:
            use.sql.rollback()
        return MovedTo(
            id=verdict.subject or wanted.person or wanted.group or "",
            to=asked.to,
            external_id=asked.external_id,
            changed=not verdict.problem,
            dry_run=asked.dry_run,
        )

    return write.set_up(act, lambda _c, moved: (200, moved))


def _overrides(write: Write, database: Changing) -> SQLOverrides:
    parts = write.parts
    seconds = parts.settings.link_life.total_seconds()
    return SQLOverrides(
        parts.database,
        parts.vault,
        link_seconds=seconds,
        report=parts.report,
        changing=database,
    )


def _person(user: str, write: Write) -> Person:
    with reading(write.parts) as connection:
        return found_person(connection, write.caller, user)


def _told(connection: Connection, person: Person) -> tuple[int, User]:
    return 200, users_of(connection, [person])[0]
