"""RFC 7644 3.4.2.2: filters find the same on PostgreSQL, on SQLite and in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from domain.model import Edge, Group
from domain.values import Stamp
from tests.exploring import patient
from tests.scim_oracle import is_full, matches
from worker.adapters.db import rows
from worker.adapters.db.engine import Database
from worker.adapters.db.mapping import edge_to_row, group_to_row
from worker.adapters.db.scim_filters import INDEXED, LONGEST_INDEXED, Look, condition
from worker.adapters.db.scim_json import json_on
from worker.adapters.db.scim_rows import scim_resources, scim_values
from worker.adapters.scim.attributes import Kind, table
from worker.adapters.scim.filter_reading import read_filter
from worker.adapters.scim.schemas import ENTERPRISE, USER

pytestmark = pytest.mark.every_database

BASE = "https://rosterd.example.com/scim/v2"
START = datetime(2026, 1, 1, tzinfo=UTC)

WORDS = [
    "a",
    "A",
    "ab",
    "Ab",
    "b",
    "B",
    "ba",
    "É",
    "é",
    "éa",
    "ß",
    "SS",
    "Ж",
    "ж",
    'q"',
    "\\",
    "%",
    "_",
]
word = st.sampled_from(WORDS)
maybe = st.one_of(st.none(), st.just(""), word)


def told(**attributes: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects in which each attribute may be missing."""
    return st.fixed_dictionaries({}, optional=attributes)


email = told(value=word, type=st.sampled_from(["work", "Work", "home"]), primary=st.booleans())
document = told(
    title=maybe,
    displayName=word,
    active=st.booleans(),
    name=told(familyName=maybe, givenName=word),
    emails=st.lists(email, max_size=3),
    **{ENTERPRISE: told(department=maybe, manager=told(value=word))},
)

_TEXTS = [
    "title",
    "displayName",
    "userName",
    "name.familyName",
    "name.givenName",
    "externalId",
    "id",
]
_TEXTS += ["emails", "emails.value", "emails.type", "manager", f"{ENTERPRISE}:department"]
_TEXTS += ["department", "meta.location", "meta.resourceType", "schemas"]
_TEXTS += ["groups", "groups.value", "groups.display"]
_OPS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
quoted = st.one_of(word, st.sampled_from(["r1", "g1", ENTERPRISE, "urn:ietf", "User"])).map(
    json.dumps
)


def comparison(names: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(names), st.sampled_from(_OPS), values).map(" ".join)


def presence(names: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(names).map("{} pr".format)


truth = st.tuples(st.sampled_from(["eq", "ne"]), st.sampled_from(["true", "false", "null"]))
_INNER = ["value", "type"]
inner = st.recursive(
    st.one_of(
        comparison(_INNER, quoted),
        presence(["value", "type", "primary"]),
        truth.map(lambda t: f"primary {t[0]} {t[1]}"),
    ),
    lambda terms: st.one_of(
        st.tuples(terms, st.sampled_from([" and ", " or "]), terms).map(
            "({0[0]}{0[1]}{0[2]})".format
        ),
        terms.map("not ({})".format),
    ),
    max_leaves=4,
)
leaf = st.one_of(
    comparison(_TEXTS, quoted),
    presence([*_TEXTS, "emails", "name", "active", "meta", "groups", "schemas"]),
    st.tuples(
        st.sampled_from([t for t in _TEXTS if "." not in t]), st.sampled_from(["eq", "ne"])
    ).map("{0[0]} {0[1]} null".format),
    inner.map("emails[{}]".format),
    comparison(["value", "display"], quoted).map("groups[{}]".format),
    comparison(["value"], quoted).map("schemas[{}]".format),
    truth.map(lambda t: f"active {t[0]} {t[1].replace('null', 'true')}"),
    st.tuples(
        st.sampled_from(["meta.created", "meta.lastModified"]),
        st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
        st.integers(-1, 4).map(lambda n: json.dumps((START + timedelta(seconds=n)).isoformat())),
    ).map(" ".join),
)
filters = st.recursive(
    leaf,
    lambda terms: st.one_of(
        st.tuples(terms, st.sampled_from([" and ", " or "]), terms).map(
            "({0[0]}{0[1]}{0[2]})".format
        ),
        terms.map("not ({})".format),
    ),
    max_leaves=5,
)


def row(kind: str, number: int, handle: str, told: dict[str, Any]) -> dict[str, Any]:
    """A row of scim_resources."""
    id_ = f"{kind[0].lower().replace('u', 'r')}{number}"
    return {
        "id": id_,
        "account_id": "acc",
        "connection_id": "con",
        "kind": kind,
        "key": f"k{number}",
        "alias": told.get("externalId"),
        "handle": handle.lower(),
        "document": json.dumps(told, ensure_ascii=False),
        "version": number,
        "is_told": True,
        "created_at": START + timedelta(seconds=number),
        "modified_at": START + timedelta(seconds=number + 1),
        "deleted_at": None,
    }


def shown(stored: dict[str, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    """What a GET of the row would show."""
    meta = {
        "resourceType": stored["kind"],
        "created": stored["created_at"].isoformat(),
        "lastModified": stored["modified_at"].isoformat(),
        "location": f"{BASE}/{stored['kind']}s/{stored['id']}",
    }
    told = json.loads(stored["document"])
    schemas = [USER, *([ENTERPRISE] if is_full(told.get(ENTERPRISE)) else [])]
    return {
        "active": True,
        "schemas": schemas,
        **told,
        "id": stored["id"],
        "meta": meta,
        "groups": groups,
    }


def values_of(kind: str, stored: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of scim_values."""
    told = json.loads(stored["document"])
    found = {("emails.value", e["value"].lower()) for e in told.get("emails", []) if "value" in e}
    found |= {("displayName", told["displayName"].lower())} if "displayName" in told else set()
    return [
        {"resource_id": stored["id"], "path": path, "value": value}
        for path, value in sorted(found)
        if path in INDEXED[kind] and len(value) <= LONGEST_INDEXED
    ]


@contextmanager
def database(url: str) -> Iterator[Database]:
    found = Database(url)
    try:
        yield found
    finally:
        found.dispose()


def find(connection: Connection, text: str, kind: Kind = "User") -> set[str]:
    look = Look(json_on(connection), "con", kind, BASE)
    where = condition(read_filter(text, table(kind)), look)
    r = scim_resources.c
    mine = (r.connection_id == "con") & (r.kind == kind) & r.deleted_at.is_(None)
    return set(connection.execute(select(r.id).where(mine, where)).scalars())


def membership(connection: Connection, group: str, user: str, at: int, *, is_member: bool) -> None:
    edge = Edge("con", group, user, Stamp(at, 0, "e"), is_member)
    connection.execute(insert(rows.memberships), [edge_to_row(edge)])


def group_facts(connection: Connection, key: str, name: str, cleared: int = 0) -> None:
    stamp = Stamp(cleared, 1, "d")
    group = Group("con", key, (Stamp(1, 0, "e"), name), (Stamp(1, 0, "e"), True), cleared=stamp)
    connection.execute(insert(rows.groups), [group_to_row(group, "acc")])


people = st.lists(
    st.tuples(word, st.one_of(st.none(), word), document, st.booleans()), min_size=1, max_size=5
)


@patient(150)
@given(people=people, texts=st.lists(filters, min_size=1, max_size=6))
@example(people=[("É", None, {"emails": [{"value": "É"}]}, True)], texts=['emails eq "é"'])
@example(
    people=[("a", None, {"emails": [{"primary": False}], "active": True}, False)],
    texts=["emails[primary pr]", "emails.primary pr", "emails pr", "active pr"],
)
@example(
    people=[("a", None, {"title": None}, False)], texts=['not (title eq "a")', "title eq null"]
)
def test_sql_finds_what_the_filter_says(
    database_url: str, people: list[tuple[str, str | None, dict[str, Any], bool]], texts: list[str]
) -> None:
    with database(database_url) as found, found.begin() as connection:
        stored = []
        for number, (handle, alias, told, is_in) in enumerate(people):
            whole = {"userName": handle, **({"externalId": alias} if alias else {}), **told}
            stored.append(row("User", number, handle, whole))
            if is_in:
                membership(connection, "k1", f"k{number}", 5, is_member=True)
        group = row("Group", 1, "ab", {"displayName": "Ab"})
        connection.execute(insert(scim_resources), [*stored, group])
        group_facts(connection, "k1", "Ab")
        if values := [value for one in stored for value in values_of("User", one)]:
            connection.execute(insert(scim_values), values)
        mine = [{"value": "g1", "$ref": f"{BASE}/Groups/g1", "display": "Ab", "type": "direct"}]
        seen = [
            shown(one, mine if person[3] else [])
            for one, person in zip(stored, people, strict=True)
        ]
        for text in texts:
            wanted = {one["id"] for one in seen if matches(text, "User", one)}
            assert find(connection, text) == wanted, text


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection of SCIM with a group of two, one of whom is no member any more."""
    with database(database_url) as found, found.begin() as opened:
        users = [row("User", n, f"user{n}", {"userName": f"User{n}"}) for n in range(3)]
        groups = [row("Group", n, f"team {n}", {"displayName": f"Team {n}"}) for n in (1, 2)]
        opened.execute(insert(scim_resources), [*users, *groups])
        group_facts(opened, "k1", "Team 1")
        group_facts(opened, "k2", "Team 2", cleared=9)
        membership(opened, "k1", "k1", 5, is_member=True)
        membership(opened, "k1", "k2", 5, is_member=False)
        membership(opened, "k2", "k1", 5, is_member=True)
        membership(opened, "k2", "k2", 10, is_member=True)
        yield opened


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('members.value eq "r1"', {"g1"}),
        ('members eq "r2"', {"g2"}),
        ('members[value eq "r1"]', {"g1"}),
        ('members[value eq "r1" and type eq "user"]', {"g1"}),
        ('members[value eq "r1" and type eq "Group"]', set()),
        ('members.value eq "R1"', set()),
        ('members.value sw "r"', {"g1", "g2"}),
        ('members.value ne "r1"', {"g2"}),
        (f'members.$ref eq "{BASE}/Users/r2"', {"g2"}),
        ("members pr", {"g1", "g2"}),
        ('displayName eq "TEAM 1" and members pr', {"g1"}),
        ('members.value eq "g1"', set()),
        ('members.value eq "x" or displayName sw "team"', {"g1", "g2"}),
    ],
)
def test_g1_groups_are_found_by_their_members(
    connection: Connection, text: str, wanted: set[str]
) -> None:
    assert find(connection, text, "Group") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('groups.value eq "g1"', {"r1"}),
        ('groups eq "g2"', {"r2"}),
        ('groups[display eq "team 2"]', {"r2"}),
        ("not (groups pr)", {"r0"}),
        ('groups.type eq "direct" and userName ew "1"', {"r1"}),
    ],
)
def test_g1_people_are_found_by_their_groups(
    connection: Connection, text: str, wanted: set[str]
) -> None:
    assert find(connection, text) == wanted


def test_another_connections_resources_and_members_are_not_found(connection: Connection) -> None:
    other = {**row("User", 7, "user1", {"userName": "user1"}), "connection_id": "other"}
    connection.execute(insert(scim_resources), [other])
    connection.execute(
        insert(rows.memberships), [edge_to_row(Edge("other", "k1", "k7", Stamp(5, 0, "e"), True))]
    )
    assert find(connection, 'userName eq "user1"') == {"r1"}
    assert find(connection, 'members.value eq "r7"', "Group") == set()


def test_a_filter_of_as_many_terms_as_allowed_works(connection: Connection) -> None:
    many = " or ".join(f'emails[value eq "u{n}" and type ne "x"]' for n in range(127))
    assert find(connection, f'{many} or userName eq "user1"') == {"r1"}
