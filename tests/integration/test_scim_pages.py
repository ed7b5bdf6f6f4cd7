"""RFC 7644 3.4.2.3, 3.4.2.4, RFC 9865: pages by number and by cursor show every resource once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update

from tests.exploring import patient
from tests.integration.test_scim_filters import BASE, database, document, row, word
from worker.adapters.db.scim_filters import Look
from worker.adapters.db.scim_json import json_on
from worker.adapters.db.scim_lists import Part, Place, page
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.scim.attributes import table
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.filter_reading import read_filter
from worker.adapters.scim.queries import read_sort

SORTS = ["userName", "title", "name.familyName", "emails", "active", "meta.created", "externalId"]


def parts(connection: Connection, sort: str | None, *kinds: Any, where: str | None = None) -> Any:
    return [
        Part(
            Look(json_on(connection), "con", kind, BASE),
            None
            if where is None
            else read_filter(where, table(kind), beside=[table(k) for k in kinds]),
            None
            if sort is None
            else read_sort(sort, table(kind), beside=[table(k) for k in kinds]),
        )
        for kind in kinds
    ]


def by_number(connection: Connection, asked: Any, size: int, *, is_descending: bool) -> list[str]:
    found: list[str] = []
    while True:
        place = Place(size, start=len(found) + 1, is_descending=is_descending)
        one = page(connection, asked, place)
        found += [str(row["id"]) for row in one.rows]
        if not one.has_more:
            assert one.total == len(found)
            return found


def by_cursor(connection: Connection, asked: Any, size: int, *, is_descending: bool) -> list[str]:
    found: list[str] = []
    totals = set()
    while True:
        place = Place(size, after=found[-1] if found else None, is_descending=is_descending)
        one = page(connection, asked, place)
        found += [str(row["id"]) for row in one.rows]
        totals.add(one.total)
        if not one.has_more:
            assert totals == {len(found)}
            return found


def value_of(stored: dict[str, Any], told: dict[str, Any], sort: str) -> Any:
    if sort == "userName":
        return stored["handle"]
    if sort == "emails":
        emails = told.get("emails") or [{}]
        primary = [one["value"] for one in emails if one.get("primary") and "value" in one]
        value = primary[0] if primary else emails[0].get("value")
    elif sort == "active":
        return int(told.get("active", True))
    elif sort == "meta.created":
        return stored["created_at"]
    elif sort == "externalId":
        return stored["alias"]
    else:
        value = told
        for name in sort.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    return None if value is None else value.lower()


@patient(120)
@given(
    people=st.lists(st.tuples(word, st.one_of(st.none(), word), document), max_size=7),
    sort=st.one_of(st.none(), st.sampled_from(SORTS)),
    size=st.integers(1, 4),
    is_descending=st.booleans(),
)
def test_pages_follow_the_order_and_show_everybody_once(
    database_url: str,
    people: list[tuple[str, str | None, dict[str, Any]]],
    sort: str | None,
    size: int,
    is_descending: bool,
) -> None:
    is_descending = is_descending and sort is not None
    with database(database_url) as found, found.begin() as connection:
        values = {}
        for number, (handle, alias, told) in enumerate(people):
            stored = row(
                "User", number, handle, {**told, **({"externalId": alias} if alias else {})}
            )
            connection.execute(insert(scim_resources), [stored])
            values[stored["id"]] = value_of(stored, told, sort) if sort else None
        without = sorted((i for i, v in values.items() if v is None), reverse=is_descending)
        with_ = sorted(
            (i for i, v in values.items() if v is not None),
            key=lambda i: (values[i], i),
            reverse=is_descending,
        )
        wanted = without + with_ if is_descending else with_ + without
        asked = parts(connection, sort, "User")
        assert by_number(connection, asked, size, is_descending=is_descending) == wanted
        assert by_cursor(connection, asked, size, is_descending=is_descending) == wanted


@pytest.mark.parametrize("sort", [None, "displayName", "userName"])
@pytest.mark.parametrize("is_descending", [False, True])
def test_users_and_groups_are_listed_together(
    database_url: str, sort: str | None, is_descending: bool
) -> None:
    is_descending = is_descending and sort is not None
    with database(database_url) as found, found.begin() as connection:
        users = [row("User", n, f"u{n}", {"displayName": f"B{n % 2}"}) for n in range(4)]
        groups = [row("Group", n, f"b{n}", {"displayName": f"B{n}"}) for n in range(3)]
        connection.execute(insert(scim_resources), [*users, *groups])
        asked = parts(connection, sort, "User", "Group")
        in_order = by_number(connection, asked, 3, is_descending=is_descending)
        assert sorted(in_order) == ["g0", "g1", "g2", "r0", "r1", "r2", "r3"]
        assert by_cursor(connection, asked, 2, is_descending=is_descending) == in_order
        if sort == "displayName":
            up = ["g0", "r0", "r2", "g1", "r1", "r3", "g2"]
            assert in_order == (up[::-1] if is_descending else up)
        only = parts(connection, sort, "User", "Group", where='userName eq "u1" or members pr')
        assert by_number(connection, only, 3, is_descending=is_descending) == ["r1"]


def test_a_cursor_outlives_the_resource_that_it_names(database_url: str) -> None:
    with database(database_url) as found, found.begin() as connection:
        users = [row("User", n, f"u{n}", {}) for n in range(3)]
        connection.execute(insert(scim_resources), users)
        gone = scim_resources.c.id == "r1"
        connection.execute(
            update(scim_resources).where(gone).values(deleted_at=users[0]["created_at"])
        )
        asked = parts(connection, "userName", "User")
        assert [r["id"] for r in page(connection, asked, Place(5, after="r1")).rows] == ["r2"]
        with pytest.raises(SCIMError) as refused:
            page(connection, asked, Place(5, after="r9"))
        assert refused.value.scim_type == "invalidCursor"


def test_counting_alone_reads_no_resource(database_url: str) -> None:
    with database(database_url) as found, found.begin() as connection:
        connection.execute(insert(scim_resources), [row("User", n, "u", {}) for n in range(3)])
        asked = parts(connection, None, "User")
        none = page(connection, asked, Place(0))
        assert (list(none.rows), none.total) == ([], 3)
        beyond = page(connection, asked, Place(5, start=9))
        assert (list(beyond.rows), beyond.total, beyond.has_more) == ([], 3, False)
