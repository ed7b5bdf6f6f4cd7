"""`/v1/audit` and timelines: who did what to whom, why, with before and after."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from domain.keys import group_id
from domain.looking import AuditFilter
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.caller import Parts, Viewer
from worker.web.api.groups import found_group
from worker.web.api.operating import AuditQuery, Entry, entry_of, number_before
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.users import found_person

router = APIRouter(tags=["audit"], responses=responses(404))


@router.get("/audit")
def list_audit(caller: Viewer, parts: Parts, asked: AuditQuery) -> Page[Entry]:
    """Newest first: what people did, with `events` or a `subject` what events did, too."""
    wanted = asked.filter(caller.some_accounts(asked.account))
    return _page(parts, wanted, before=number_before(asked), limit=asked.limit)


@router.get("/users/{user}/timeline")
def timeline_of_user(
    user: Annotated[str, Path(description="Id of the person.")],
    caller: Viewer,
    parts: Parts,
    asked: PagedQuery,
) -> Page[Entry]:
    """Everything that changed a person, newest first."""
    with reading(parts) as connection:
        person = found_person(connection, caller, user)
    wanted = AuditFilter(frozenset({person.account}), frozenset({person.id}), with_events=True)
    return _page(parts, wanted, before=number_before(asked), limit=asked.limit)


@router.get("/groups/{group}/timeline")
def timeline_of_group(
    group: Annotated[str, Path(description="Id of the group.")],
    caller: Viewer,
    parts: Parts,
    asked: PagedQuery,
) -> Page[Entry]:
    """Everything that changed a group, newest first."""
    with reading(parts) as connection:
        seen = found_group(connection, caller, group)
    names = {seen.id}
    names |= {one.id for one in (seen.own,) if one is not None}
    for one in (seen.own, seen.told):
        if one is not None and one.connection is not None and one.key is not None:
            names.add(group_id(one.connection, one.key))
    wanted = AuditFilter(frozenset({seen.account}), frozenset(names), with_events=True)
    return _page(parts, wanted, before=number_before(asked), limit=asked.limit)


def _page(parts: Container, wanted: AuditFilter, *, before: int | None, limit: int) -> Page[Entry]:
    page = parts.readings.audit.page(wanted, before=before, limit=limit)
    after = str(page.after) if page.after is not None else None
    return Page(items=[entry_of(row) for row in page.rows], next=sealed(after))
