"""`/v1/users`: people of an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import NothingFoundError
from domain.model import Person, PersonState, Role
from worker.adapters.db.group_pages import groups_of, members_page, one_group
from worker.adapters.db.people_pages import PeopleFilter, one_person, people_page
from worker.web.api.answers import reading, tagged
from worker.web.api.caller import Caller, Parts, Reader
from worker.web.api.paging import Page, Paged, sealed
from worker.web.api.problems import responses
from worker.web.api.shapes import Group, User, group_of, users_of
from worker.web.api.texts import Text, group_row, person_ref

router = APIRouter(tags=["users"])
UNKNOWN = responses(404)


class Asked(Paged):
    """Filters; all that are given must fit."""

    email: Text | None = Field(None, description="In force or pending, exact but for the case.")
    state: PersonState | None = None
    external_id: Text | None = Field(None, description="The identity provider's id.")
    managed: bool | None = Field(None, description="Whether a connection governs the person.")
    role: Role | None = None
    group: Text | None = Field(None, description="Id of a group: its members.")


@router.get("/users", responses=responses(404))
def list_users(caller: Reader, parts: Parts, asked: Annotated[Asked, Query()]) -> Page[User]:
    """People in the order of their ids."""
    account = caller.one_account(asked.account)
    wanted = PeopleFilter(
        email=asked.email,
        state=asked.state,
        external_id=asked.external_id,
        is_managed=asked.managed,
        role=asked.role,
    )
    with reading(parts) as connection:
        if asked.group is not None:
            return _of_group(connection, caller, asked, wanted)
        page = people_page(connection, account, wanted, after=asked.after, limit=asked.limit)
        return Page(items=users_of(connection, page.people), next=sealed(page.after))


def _of_group(
    connection: Connection, caller: Caller, asked: Asked, wanted: PeopleFilter
) -> Page[User]:
    """Members of a group that fit, in the order of their external ids."""
    ref = asked.group or ""
    seen = one_group(connection, group_row(ref))
    if seen is None or seen.account != caller.one_account(asked.account):
        raise NothingFoundError("group", ref)
    members, after = members_page(connection, seen, after=asked.after, limit=asked.limit)
    people = [m.person for m in members if m.person is not None and wanted.fits(m.person)]
    return Page(items=users_of(connection, people), next=sealed(after))


@router.get(
    "/users/{user}", response_model=User, responses={304: {"description": "As it was."}, **UNKNOWN}
)
def show_user(user: str, caller: Reader, parts: Parts, request: Request) -> Response:
    """One person with their full state (U10)."""
    with reading(parts) as connection:
        return tagged(request, users_of(connection, [found_person(connection, caller, user)])[0])


@router.get("/users/{user}/groups", responses=UNKNOWN)
def list_groups_of_user(user: str, caller: Reader, parts: Parts) -> Page[Group]:
    """Groups that the person is a member of; all on one page."""
    with reading(parts) as connection:
        person = found_person(connection, caller, user)
        return Page(items=[group_of(seen) for seen in groups_of(connection, person)], next=None)


def found_person(connection: Connection, caller: Caller, ref: str) -> Person:
    """The person, if the caller may see them; raises NothingFoundError."""
    person = one_person(connection, person_ref(ref))
    if person is None or person.state is PersonState.WITHDRAWN:
        raise NothingFoundError("user", ref)
    caller.check("user", ref, person.account)
    return person
