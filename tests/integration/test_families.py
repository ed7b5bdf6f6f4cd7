"""C4: a parent's token and operator see and work its children over every route that there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Rosterd
from tests.integration.test_tenant_routes import asking, body_for, described
from tests.tenants import MARK, Tenant, furnished
from worker.adapters.db import rows
from worker.adapters.db.family import family_of, line_above
from worker.web.signin.session import COOKIE

#: What of an account stands for a name in a path or a query; by itself where it is a word.
MEANT = {
    "user": "person",
    "group": "group_by_hand",
    "account": "account",
    "email": "email",
    "actor": "moved",
    "permission": "open_private_space",
    "external_id": "u1",
    "state": "active",
    "role": "member",
}


@pytest.fixture
def family(rosterd: Rosterd) -> tuple[Tenant, Tenant, Tenant]:
    """A parent and two children that are furnished alike; and somebody who is not of them."""
    parent = furnished(rosterd, "parent", "parentonly")
    children = [
        furnished(rosterd, name, mark, parent="parent")
        for name, mark in (("alpha", MARK), ("twin", "twinsonly"))
    ]
    rosterd.account("example.com", name="stranger")
    return parent, children[0], children[1]


#: The people and groups of an account. What operators do is walked over in test_tenant_routes.
DIRECTORY = ("/api/v1/users", "/api/v1/groups")


def worked(rosterd: Rosterd, of: Tenant, by: Tenant) -> Iterator[tuple[str, str, Any]]:
    """Every operation on an account's people and groups, with another's token, and the answer."""
    document = described(rosterd)
    operations = [
        (f"/api{path}", method.upper())
        for path, ways in document["paths"].items()
        for method in ways
        if "{" in path and "{code}" not in path
    ]
    # What is gone cannot be asked for: it goes last, and members go before their group.
    order = sorted(
        operations, key=lambda one: (one[1] == "DELETE", one[1] != "GET", -one[0].count("/"))
    )
    bearer = {"Authorization": f"Bearer {by.secrets['bearer']}", "X-Reason": "walk"}
    for path, method in (*asking(rosterd), *order):
        # Where people move, there has to be another connection.
        if not path.startswith(DIRECTORY) or path.endswith("/move"):
            continue
        told = path
        for name, meant in MEANT.items():
            value = of.words.get(meant, meant)
            told = told.replace(f"{{{name}}}", quote(value, safe=""))
        if "account=" not in told and "?" in told:
            told = f"{told}&account={of.words['account']}"
        assert "{" not in told, f"nothing stands for it: {told}"
        body = body_for(document, method, path)
        yield path, method, rosterd.http.request(method, told, headers=bearer, json=body)


def test_c4_a_parents_token_is_answered_as_the_childs_own_over_every_route(
    rosterd: Rosterd, family: tuple[Tenant, Tenant, Tenant]
) -> None:
    parent, child, twin = family
    by_parent = list(worked(rosterd, child, parent))
    by_itself = list(worked(rosterd, twin, twin))
    assert len(by_parent) > 20
    for (path, method, told), (_, _, expected) in zip(by_parent, by_itself, strict=True):
        assert told.status_code == expected.status_code, (method, path, told.text)
    statuses = {told.status_code for _, _, told in by_parent}
    assert statuses & {200, 201, 204}
    assert 404 not in statuses, [one[:2] for one in by_parent if one[2].status_code == 404]
    assert any(MARK in told.text for _, _, told in by_parent)


def test_c4_a_parents_operator_sees_its_children_and_nobody_else_on_the_page(
    rosterd: Rosterd, family: tuple[Tenant, Tenant, Tenant]
) -> None:
    parent, child, twin = family
    everybody = rosterd.session(rosterd.operator("all@example.com"))
    names = ("parent", "alpha", "twin", "stranger")
    seen = {}
    for who, session in (
        ("all", everybody),
        ("parent", parent.secrets["session"]),
        ("child", child.secrets["session"]),
        ("twin", twin.secrets["session"]),
    ):
        page = rosterd.http.get("/", headers={"Cookie": f"{COOKIE}={session}"})
        assert page.status_code == 200
        seen[who] = {name for name in names if f'<span class="soft">{name}' in page.text}
        assert ("and the accounts below it" in page.text) == (who != "all")
    assert seen == {
        "all": set(names),
        "parent": {"parent", "alpha", "twin"},
        "child": {"alpha"},
        "twin": {"twin"},
    }
    for name, theirs in (("parent", {"parent", "alpha", "twin"}), ("alpha", {"alpha"})):
        told = rosterd.json("status", "--account", name)
        assert {one["account"] for one in told["connections"]} == theirs
        shown = rosterd.json("account", "show", name)
        assert {one["name"] for one in shown["children"]} == theirs - {name}


def test_c4_events_and_counts_of_the_page_are_the_accounts_own(rosterd: Rosterd) -> None:
    feeds = {name: rosterd.account("example.com", name=name) for name in ("acme", "other")}
    done = rosterd.cli("operator", "add", "of@acme.example", "--account", "acme")
    assert done.returncode == 0, done.stderr
    again = rosterd.cli("operator", "add", "of@acme.example")
    assert "an operator already" in again.stderr
    listed = {one["email"]: one["account"] for one in rosterd.json("operator", "list")}
    assert listed == {"of@acme.example": "acme"}
    for number in range(60):
        rosterd.hire(feeds["other"], f"o{number}", f"o{number}@other.example")
    rosterd.hire(feeds["acme"], "ours", "ours@elsewhere.example")
    for number in range(60, 120):
        rosterd.hire(feeds["other"], f"o{number}", f"o{number}@other.example")
    rosterd.http.cookies.set(COOKIE, rosterd.session("of@acme.example"))
    page = rosterd.http.get("/").text
    assert "ours" in page, "however many of others came after it"
    assert "o119" not in page
    assert "other" not in page
    assert '<span>Dead letters</span> <a href="/dead-letters">1</a>' in page
    told = rosterd.json("status", "--account", "acme")
    assert [one["subject"] for one in told["recent"]] == ["ours"]
    assert {one["account"] for one in told["connections"]} == {"acme"}
    assert rosterd.cli("status", "--account", "nobody").returncode == 3


def test_c4_accounts_that_were_brought_into_a_circle_end_no_look_at_them(rosterd: Rosterd) -> None:
    ids = {}
    for name, parent in (("one", None), ("two", "one"), ("three", "two"), ("apart", None)):
        words = ("--parent", parent) if parent else ()
        ids[name] = rosterd.json("account", "add", name, *words)["id"]
    with rosterd.setup() as use:
        table = rows.accounts
        back = table.update().where(table.c.id == ids["one"]).values(parent_id=ids["three"])
        use.sql.execute(back)
    with rosterd.setup() as use:
        circle = {ids[name] for name in ("one", "two", "three")}
        for account in circle:
            assert family_of(use.sql, account) == line_above(use.sql, account) == circle
        assert family_of(use.sql, ids["apart"]) == {ids["apart"]}
    assert rosterd.cli("account", "show", "one").returncode == 0
    assert rosterd.cli("status", "--account", "two").returncode == 0


def test_c4_alerts_are_mailed_to_operators_of_the_account_and_of_those_above_it(
    rosterd: Rosterd,
) -> None:
    rosterd.account(name="parent")
    for name, parent in (("child", "parent"), ("below", "child"), ("sibling", "parent")):
        assert rosterd.cli("account", "add", name, "--parent", parent).returncode == 0
    people = {"all": None, **{name: name for name in ("parent", "child", "below", "sibling")}}
    for name, account in people.items():
        words = ("--account", account) if account else ()
        add = ("operator", "add", f"{name}@ops.example", "--role", "operator", *words)
        assert rosterd.cli(*add).returncode == 0
    person = rosterd.json(
        "user", "add", "x@child.example", "--account", "child", "--active", "--reason", "x"
    )["id"]
    give = ("group", "member", "add", "Crew", person, "--account", "child", "--reason", "x")
    assert rosterd.cli("group", "add", "--account", "child", "Crew").returncode == 0
    assert rosterd.cli(*give).returncode == 0
    grant = ("group", "grant", "Crew", "open_private_space", "--account", "child", "--reason", "x")
    assert rosterd.cli(*grant).returncode == 0
    rosterd.parts.sweep.run()
    mailed = [text for text in rosterd.mails() if "private space" in text]
    told = {name for name in people for text in mailed if f"To: {name}@ops.example" in text}
    assert told == {"all", "parent", "child"}
