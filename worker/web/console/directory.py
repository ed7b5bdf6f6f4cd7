"""People and groups: what is, what the identity provider wants, and who changed what."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import NothingFoundError, UsageError
from domain.keys import group_ref
from domain.model import Person, PersonState, Role
from domain.own_groups import PERMISSIONS
from domain.permissions import Permission
from worker.adapters.db import rows
from worker.adapters.db.audit_search import AuditFilter, audit_page
from worker.adapters.db.deliverability import marks_of
from worker.adapters.db.group_pages import (
    GroupSeen,
    groups_of,
    groups_page,
    members_page,
    one_group,
)
from worker.adapters.db.names import accounts_of, connections_of
from worker.adapters.db.people_pages import PeopleFilter, one_person, people_page
from worker.adapters.db.people_queries import person_story
from worker.web.api.paging import opened, sealed
from worker.web.api.texts import group_row
from worker.web.console.call import Call
from worker.web.console.frame import Frame

PAGE = 50
#: Entries of a timeline on the page of whom they are about; the audit has all of them.
TIMELINE = 60
FIELDS = ("account", "email", "external_id", "state", "role")


def routes(frame: Frame) -> list[Route]:
    """Lists and pages of one."""
    reads = Permission.DIRECTORY_READ
    return [
        frame.page("/people", _people, reads),
        frame.page("/people/{id}", _person, reads),
        frame.page("/groups", _groups, reads),
        frame.page("/groups/{id}", _group, reads),
    ]


def account_asked(call: Call, accounts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The account that is named or the only one there is; raises NothingFoundError."""
    named = call.text("account")
    if not named:
        home = [one for one in accounts if one["id"] == call.asker.home]
        return (home or accounts)[0] if home or len(accounts) == 1 else None
    for one in accounts:
        if named in (one["id"], one["name"]):
            return one
    raise NothingFoundError("account", named)


def _people(call: Call) -> Response:
    asked = {name: call.text(name) for name in FIELDS}
    wanted = PeopleFilter(
        email=asked["email"] or None,
        external_id=asked["external_id"] or None,
        state=_known(PersonState, asked["state"], "state"),
        role=_known(Role, asked["role"], "role"),
    )
    after = opened(call.text("after")) if call.text("after") else ""
    with call.reading() as connection:
        accounts = accounts_of(connection, call.asker.accounts)
        account = account_asked(call, accounts)
        people, end = _found(connection, account, accounts, wanted, after)
        marks = marks_of(connection, people)
    names = {one["id"]: one["name"] for one in accounts}
    return call.render(
        "people.html",
        people=people,
        marks_of=marks,
        accounts=accounts,
        account=account,
        names=names,
        asked=asked,
        is_asked=any(asked.values()),
        states=tuple(PersonState),
        roles=tuple(Role),
        more=call.link("/people", **asked, after=sealed(end)) if end else None,
        first=call.link("/people", **asked) if after else None,
    )


def _known(kind: Any, text: str, name: str) -> Any:
    if not text:
        return None
    if text not in tuple(kind):
        raise UsageError(f"{name} is one of {', '.join(kind)}, not {text!r}")
    return kind(text)


def _found(
    connection: Connection,
    account: dict[str, Any] | None,
    accounts: list[dict[str, Any]],
    wanted: PeopleFilter,
    after: str,
) -> tuple[list[Person], str | None]:
    """People of an account; of several only whom an address or an id leads to."""
    if account is not None:
        page = people_page(connection, account["id"], wanted, after=after, limit=PAGE)
        return page.people, page.after
    found: list[Person] = []
    if wanted.email is not None or wanted.external_id is not None:
        for one in accounts:
            page = people_page(connection, one["id"], wanted, after="", limit=PAGE)
            found += page.people
            if len(found) >= PAGE:
                break
    return found[:PAGE], None


def _person(call: Call) -> Response:
    id_ = call.part("id")
    with call.reading() as connection:
        person = one_person(connection, id_)
        call.asker.check_account("person", id_, person.account if person else None)
        if person is None:
            raise NothingFoundError("person", id_)
        story = person_story(connection, person.id)
        groups = groups_of(connection, person)
        names = {one["id"]: one for one in connections_of(connection, {person.account})}
        account = accounts_of(connection, {person.account})
        feeds = _feeds(connection, person.connection)
        timeline = audit_page(
            connection, AuditFilter(accounts=None, subject=person.id), limit=TIMELINE
        )
    return call.render(
        "person.html",
        person=person,
        story=story,
        groups=[(ref_of(one), one) for one in groups],
        of=names.get(person.connection or ""),
        account=account[0] if account else None,
        feeds=feeds,
        timeline=timeline,
    )


def _feeds(connection: Connection, of: str | None) -> dict[str, str]:
    table = rows.feeds
    found = connection.execute(
        select(table.c.id, table.c.source).where(table.c.connection_id == of)
    )
    return {row.id: row.source for row in found}


def ref_of(seen: GroupSeen) -> str:
    """The id of a group as paths carry it."""
    return seen.id if seen.own is not None else group_ref(seen.id)


def _groups(call: Call) -> Response:
    after = opened(call.text("after")) if call.text("after") else ""
    with call.reading() as connection:
        accounts = accounts_of(connection, call.asker.accounts)
        account = account_asked(call, accounts)
        found: list[GroupSeen] = []
        end = None
        if account is not None:
            found, end = groups_page(connection, account["id"], after=after, limit=PAGE)
        names = {one["id"]: one for one in connections_of(connection, call.asker.accounts)}
    asked = {"account": call.text("account")}
    return call.render(
        "groups.html",
        groups=[(ref_of(one), one, _of(one, names)) for one in found],
        accounts=accounts,
        account=account,
        asked=asked,
        more=call.link("/groups", **asked, after=sealed(end)) if end else None,
        first=call.link("/groups", **asked) if after else None,
    )


def _of(seen: GroupSeen, names: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The connection whose provider speaks of the group."""
    return names.get(seen.told.connection) if seen.told is not None else None


def _group(call: Call) -> Response:
    ref = call.part("id")
    after = opened(call.text("after")) if call.text("after") else ""
    with call.reading() as connection:
        seen = one_group(connection, group_row(ref))
        call.asker.check_account("group", ref, seen.account if seen else None)
        if seen is None:
            raise NothingFoundError("group", ref)
        members, end = members_page(connection, seen, after=after, limit=PAGE)
        names = {one["id"]: one for one in connections_of(connection, {seen.account})}
        account = accounts_of(connection, {seen.account})
        timeline = audit_page(
            connection, AuditFilter(accounts=None, subject=seen.id), limit=TIMELINE
        )
    here = f"/groups/{ref}"
    return call.render(
        "group.html",
        group=seen,
        ref=ref,
        all_permissions=tuple(PERMISSIONS),
        powers=[PERMISSIONS[one] for one in sorted(seen.permissions)],
        members=members,
        of=_of(seen, names),
        account=account[0] if account else None,
        timeline=timeline,
        more=call.link(here, after=sealed(end)) if end else None,
        first=here if after else None,
    )
