"""What other feeds of a connection tell, as SCIM's resources: so lists and lookups find everybody.

Only of subjects that SCIM itself never told of: from its first word on a resource is SCIM's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, or_, select

from domain.model import Group, User
from domain.ports import Writes
from domain.resources import Document, Resource, ResourceKind
from worker.adapters.db import bulk, rows
from worker.adapters.db.mapping import group_from_row, user_from_row
from worker.adapters.db.scim_rows import scim_resources, scim_values
from worker.adapters.db.scim_store import is_of, resource_from_row, resource_to_row, values_of

_NAMES = {"given_name": "givenName", "family_name": "familyName"}
_PLAIN = ("title", "nickName", "preferredLanguage", "locale", "timezone")
#: Subjects that are given a resource in one statement when a SCIM feed is added.
AT_ONCE = 1000


@dataclass(slots=True)
class Mirrored:
    """Resources to be made, and those to be kept up; written without reading anything."""

    new: list[Resource] = field(default_factory=list)
    changed: list[Resource] = field(default_factory=list)

    def write(self, sql: Connection) -> None:
        """Write them; somebody else may have been first."""
        both = [*self.new, *self.changed]
        bulk.insert(
            sql,
            scim_resources,
            [resource_to_row(one) for one in self.new],
            conflict="ON CONFLICT DO NOTHING",
        )
        told = ("id", "handle", "document", "version", "modified_at")
        changed = [resource_to_row(one) for one in self.changed]
        bulk.update(sql, scim_resources, [{name: row[name] for name in told} for row in changed])
        found = [
            {"resource_id": one.id, "path": path, "value": value}
            for one in both
            for path, value in sorted(values_of(one))
        ]
        bulk.insert(sql, scim_values, found, conflict="ON CONFLICT DO NOTHING")


def mirrored(
    sql: Connection,
    writes: Writes,
    accounts: Mapping[str, str],
    *,
    now: datetime,
) -> Mirrored:
    """What a batch makes of resources. accounts: by connection, those that have a SCIM feed."""
    found = Mirrored()
    for connection, account in sorted(accounts.items()):
        users = [u for u in writes.users.values() if u.connection == connection]
        groups = [g for g in writes.groups.values() if g.connection == connection]
        wanted = [*_of_users(users, account, now), *_of_groups(groups, account, now)]
        _sort(sql, wanted, found, now)
    return found


def fill(sql: Connection, connection: str, account: str, *, now: datetime) -> None:
    """Give everybody and every group of a connection a resource who has none."""
    for table, read in ((rows.users, _read_users), (rows.groups, _read_groups)):
        after = ""
        while True:
            statement = (
                select(table)
                .where(table.c.connection_id == connection, table.c.id > after)
                .order_by(table.c.id)
                .limit(AT_ONCE)
            )
            page = sql.execute(statement).mappings().all()
            if not page:
                break
            after, found = page[-1]["id"], Mirrored()
            _sort(sql, list(read(page, account, now)), found, now)
            found.write(sql)


def _read_users(page: Iterable[Any], account: str, now: datetime) -> Iterable[Resource]:
    return _of_users([user_from_row(row) for row in page], account, now)


def _read_groups(page: Iterable[Any], account: str, now: datetime) -> Iterable[Resource]:
    return _of_groups([group_from_row(row) for row in page], account, now)


def _of_users(users: Collection[User], account: str, now: datetime) -> Iterable[Resource]:
    for user in users:
        if user.person is not None and user.facts.emails:
            document = document_of_user(user)
            yield _resource(user.connection, ResourceKind.USER, user.key, account, document, now)


def _of_groups(groups: Collection[Group], account: str, now: datetime) -> Iterable[Resource]:
    for group in groups:
        if group.is_seen and group.name[1]:
            document = {"externalId": group.key, "displayName": group.name[1]}
            yield _resource(group.connection, ResourceKind.GROUP, group.key, account, document, now)


def _resource(
    connection: str, kind: ResourceKind, key: str, account: str, document: Document, now: datetime
) -> Resource:
    name = document["userName" if kind is ResourceKind.USER else "displayName"]
    return Resource(
        id=str(uuid4()),
        account=account,
        connection=connection,
        kind=kind,
        key=key,
        alias=key,
        handle=str(name).lower(),
        document=document,
        version=1,
        is_told=False,
        created_at=now,
        modified_at=now,
    )


def document_of_user(user: User) -> dict[str, Any]:
    """A user as SCIM would have told of one, from what other feeds told."""
    profile = {name: value for name, (_, value) in user.facts.profile.items() if value}
    address = str(user.facts.emails[-1].value)
    document: dict[str, Any] = {
        "externalId": user.key,
        "userName": address,
        "active": True,
        "emails": [{"value": address, "type": "work", "primary": True}],
    }
    name = {theirs: profile[ours] for ours, theirs in _NAMES.items() if ours in profile}
    if name:
        document["name"] = name
    if "display_name" in profile:
        document["displayName"] = profile["display_name"]
    return document | {one: profile[one] for one in _PLAIN if one in profile}


def _sort(sql: Connection, wanted: Collection[Resource], into: Mirrored, now: datetime) -> None:
    """New ones, and those that other feeds have changed; SCIM's own are left alone."""
    for kind in ResourceKind:
        mine = {one.key: one for one in wanted if one.kind is kind}
        if not mine:
            continue
        known = _known(sql, next(iter(mine.values())).connection, kind, mine)
        for key, one in mine.items():
            had = known.get(key)
            if had is None:
                into.new.append(one)
            elif not had.is_told and had.deleted_at is None and had.document != one.document:
                version = had.version + 1
                changed = replace(
                    had, handle=one.handle, document=one.document, version=version, modified_at=now
                )
                into.changed.append(changed)


def _known(
    sql: Connection, connection: str, kind: ResourceKind, keys: Collection[str]
) -> dict[str, Resource]:
    """Resources of these subjects by key; one that was deleted counts, a live one first."""
    table, wanted = scim_resources, sorted(keys)
    live = bulk.among(table.c.key, wanted, sql) & table.c.deleted_at.is_(None)
    named = bulk.among(table.c.alias, wanted, sql)
    found = sql.execute(
        select(table).where(is_of(connection, kind), or_(live, named)).order_by(table.c.id)
    ).mappings()
    resources = sorted(map(resource_from_row, found), key=lambda one: one.deleted_at is None)
    return {
        name: one for one in resources for name in (one.alias, one.key) if name in keys and name
    }
