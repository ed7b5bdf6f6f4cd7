"""What a run reads of an IdP's directory, kept beside ours until it is compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, Table, func, select, update

from domain.directories import Page, ReadGroup, ReadPerson
from domain.model import PersonState
from domain.policy import Policy
from domain.reconciliation import FirstPage, Run
from worker.adapters.db import bulk, rows
from worker.adapters.db.reconciliation_rows import read_groups, read_members, read_people

_OUT = (PersonState.SUSPENDED.value, PersonState.INVITED_SUSPENDED.value)
#: Of a group whose members nobody asks for.
NOT_KEPT = "the connection does not keep it"


def is_storable(key: str) -> bool:
    """Whether a foreign id can be kept; one that cannot leaves its list incomplete."""
    return bool(key) and "\x00" not in key and not any("\ud800" <= c <= "\udfff" for c in key)


def keep_people(sql: Connection, run: str, page: Page[ReadPerson]) -> None:
    """Keep a page; whom an earlier one named, too, is kept as told last."""
    people = {one.key: one for one in page.items if is_storable(one.key)}
    new = [
        {"run_id": run, "key": key, "at": page.at, "document": _document(people[key])}
        for key in sorted(people)
    ]
    bulk.upsert(sql, read_people, new)


def _document(one: ReadPerson) -> bytes:
    said = {"e": one.email, "a": dict(one.attributes), "i": one.is_active, "k": one.kind}
    return orjson.dumps(said)


def person_of(row: RowMapping) -> ReadPerson:
    """The person of a row of `read_people`."""
    said = orjson.loads(row["document"])
    return ReadPerson(row["key"], said["e"], said["a"], said["i"], said["k"])


def keep_groups(sql: Connection, run: str, page: Page[ReadGroup], policy: Policy) -> None:
    """Keep a page; members are asked for of groups that are kept, or say who is provisioned."""
    groups = {one.key: one for one in page.items if is_storable(one.key)}
    new = [
        {
            "run_id": run,
            "key": key,
            "name": groups[key].name,
            "at": page.at,
            "began_at": None,
            "first": None,
            "total": None,
            "doubt": None if _is_wanted(groups[key], policy) else NOT_KEPT,
        }
        for key in sorted(groups)
    ]
    bulk.upsert(sql, read_groups, new)


def _is_wanted(group: ReadGroup, policy: Policy) -> bool:
    return policy.keeps_group(group.key, group.name) or group.key in policy.scope.keys


def member_id(group: str, user: str) -> str:
    """Id of a membership that was read; see `domain.keys.edge_id`."""
    return f"{len(group)}:{group}:{user}"


def keep_members(sql: Connection, run: Run, group: str, page: Page[str]) -> None:
    """Keep a page of a group's members; the first says since when it is read."""
    users = sorted({user for user in page.items if is_storable(user)})
    new = [
        {
            "run_id": run.id,
            "id": member_id(group, user),
            "group_key": group,
            "user_key": user,
            "at": page.at,
        }
        for user in users
    ]
    bulk.upsert(sql, read_members, new)
    if run.cursor is None:
        first = FirstPage.of(page.items, page.total, page.at)
        began = {"began_at": page.at, "first": first.keys, "total": page.total}
        sql.execute(update(read_groups).where(_group(run.id, group)).values(**began))


def _group(run: str, group: str) -> Any:
    return (read_groups.c.run_id == run) & (read_groups.c.key == group)


def count_members(sql: Connection, run: str, group: str) -> tuple[int, FirstPage]:
    """How many different members were read, and what the first page said."""
    table = read_members
    mine = (table.c.run_id == run) & (table.c.group_key == group)
    count = sql.execute(select(func.count()).select_from(table).where(mine)).scalar_one()
    row = sql.execute(select(read_groups).where(_group(run, group))).one()
    return int(count), FirstPage(row.first, row.total, row.began_at)


def keep_group_end(sql: Connection, run: str, group: str, doubt: str) -> None:
    """A group was read; doubt: why that proves nothing of who is missing, "" if it does."""
    sql.execute(update(read_groups).where(_group(run, group)).values(doubt=doubt))


def read_of(sql: Connection, run: str, name: str) -> int:
    """How many different people, or groups, were read."""
    table: Table = read_people if name == "people" else read_groups
    counted = select(func.count()).select_from(table).where(table.c.run_id == run)
    return int(sql.execute(counted).scalar_one())


def known_of(sql: Connection, connection: str, name: str) -> int:
    """How many people who are in, or groups, we have of the connection."""
    people, groups = rows.people, rows.groups
    mine = (
        (people.c.connection_id == connection) & people.c.state.not_in(_OUT)
        if name == "people"
        else (groups.c.connection_id == connection) & groups.c.is_seen
    )
    table: Table = people if name == "people" else groups
    return int(sql.execute(select(func.count()).select_from(table).where(mine)).scalar_one())


def read_by_key(
    sql: Connection, table: Table, run: str, keys: Iterable[str]
) -> dict[str, RowMapping]:
    """Rows of `read_people` or `read_groups` by external id."""
    found = bulk.looked_up(table, table.c.run_id == run, table.c.key, sorted(set(keys)), sql)
    return {row["key"]: row for row in sql.execute(found).mappings()}


def members_among(sql: Connection, run: str, ids: Iterable[str]) -> set[str]:
    """Which of these memberships were read."""
    table = read_members
    mine, key = table.c.run_id == run, table.c.id
    return set(sql.scalars(bulk.looked_up(key, mine, key, sorted(set(ids)), sql)))
