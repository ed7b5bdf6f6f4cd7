"""`/v1/groups`: groups of an account and who is in them."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import NothingFoundError
from worker.adapters.db.group_pages import (
    GroupSeen,
    Membership,
    groups_page,
    members_page,
    one_group,
)
from worker.web.api.answers import reading, tagged
from worker.web.api.caller import Caller, Parts, Reader
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.shapes import Group, Member, group_of, users_of
from worker.web.api.texts import group_row

router = APIRouter(tags=["groups"])
UNKNOWN = responses(404)


@router.get("/groups", responses=UNKNOWN)
def list_groups(caller: Reader, parts: Parts, asked: PagedQuery) -> Page[Group]:
    """Groups: the account's own first, then what identity providers told."""
    account = caller.one_account(asked.account)
    with reading(parts) as connection:
        seen, after = groups_page(connection, account, after=asked.after, limit=asked.limit)
        return Page(items=[group_of(one) for one in seen], next=sealed(after))


@router.get(
    "/groups/{group}",
    response_model=Group,
    responses={304: {"description": "As it was."}, **UNKNOWN},
)
def show_group(group: str, caller: Reader, parts: Parts, request: Request) -> Response:
    """One group."""
    with reading(parts) as connection:
        return tagged(request, group_of(found_group(connection, caller, group)))


@router.get("/groups/{group}/members", responses=UNKNOWN)
def list_members(group: str, caller: Reader, parts: Parts, asked: PagedQuery) -> Page[Member]:
    """Members, in a managed group those not seen yet among them (G7)."""
    with reading(parts) as connection:
        seen = found_group(connection, caller, group)
        members, after = members_page(connection, seen, after=asked.after, limit=asked.limit)
        return Page(items=_members(connection, members), next=sealed(after))


def _members(connection: Connection, members: list[Membership]) -> list[Member]:
    people = [member.person for member in members if member.person is not None]
    shown = {user.id: user for user in users_of(connection, people)}
    return [
        Member(
            external_id=member.external_id,
            effective=member.person is not None,
            user=shown[member.person.id] if member.person is not None else None,
        )
        for member in members
    ]


def found_group(connection: Connection, caller: Caller, ref: str) -> GroupSeen:
    """The group, if the caller may see it; raises NothingFoundError."""
    seen = one_group(connection, group_row(ref))
    if seen is None:
        raise NothingFoundError("group", ref)
    caller.check("group", ref, seen.account)
    return seen
