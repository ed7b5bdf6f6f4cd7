"""Writes of one resource at the same time: each takes effect, and a write is whole or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from tests.harness import Rosterd
from tests.scim import PATCH, STATE, Provider, is_error, provider

pytestmark = pytest.mark.every_database

CONNECTIONS = 8


def at_once(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each job gives; all begin together, each on a connection of its own."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))


def test_three_patches_of_one_person_all_take_effect(rosterd: Rosterd) -> None:
    """D2: a suspension, a title and a name; the suspension is never lost."""
    idp = provider(rosterd)
    for number in range(5):
        id_ = idp.hire(f"u{number}", externalId=f"e{number}")["id"]
        at_once(
            [
                partial(idp.set_, id_, active=False),
                partial(idp.set_, id_, title="Boss"),
                partial(idp.set_, id_, name={"givenName": "Ana"}),
            ]
        )
        now = idp.get(id_)
        assert (now["active"], now["title"], now["name"]["givenName"]) == (False, "Boss", "Ana")
        line = rosterd.user(f"e{number}")
        assert line is not None
        assert (line["state"], line["given_name"]) == ("invited_suspended", "Ana")


def race(idp: Provider, id_: str, count: int) -> None:
    """So many PATCHes over eight connections, each adding a value of its own."""

    def add(mine: int) -> None:
        for number in range(mine, count, CONNECTIONS):
            part = {"op": "add", "path": "roles", "value": [{"value": f"r{number}"}]}
            idp.patch(id_, part)

    at_once([partial(add, mine) for mine in range(CONNECTIONS)])
    now = idp.get(id_)
    assert sorted(one["value"] for one in now["roles"]) == sorted(f"r{n}" for n in range(count))
    assert now["meta"]["version"].startswith(f'W/"{count + 1}')


def test_no_update_is_lost_in_a_thousand_races(
    rosterd: Rosterd, request: pytest.FixtureRequest
) -> None:
    """D2, D5: on PostgreSQL; SQLite has one writer, so a few show it there."""
    idp = provider(rosterd)
    is_postgres = rosterd.parts.database.is_postgres
    race(idp, idp.hire("ana")["id"], 1000 if is_postgres else 40)


def test_members_added_at_once_are_all_in(rosterd: Rosterd) -> None:
    """G1."""
    idp = provider(rosterd)
    people = [idp.hire(f"u{number}")["id"] for number in range(CONNECTIONS)]
    crew = idp.group("Crew")["id"]
    at_once([partial(idp.join, crew, one) for one in people])
    assert {one["value"] for one in idp.get(crew, kind="Groups")["members"]} == set(people)
    at_once([partial(idp.leave, crew, one) for one in people[1:]])
    members = idp.get(crew, kind="Groups")["members"]
    assert [one["value"] for one in members] == people[:1]


def test_the_same_person_is_made_once(rosterd: Rosterd) -> None:
    """One of eight creations is answered 201, all others 409."""
    idp = provider(rosterd)
    body = {"userName": "ana@example.com"}
    told = at_once([lambda: idp.ask("POST", "/Users", body) for _ in range(CONNECTIONS)])
    assert sorted(one.status_code for one in told) == [201] + [409] * (CONNECTIONS - 1)
    assert len(rosterd.users()) == 1
    body = {"displayName": "Crew"}
    told = at_once([lambda: idp.ask("POST", "/Groups", body) for _ in range(CONNECTIONS)])
    assert sorted(one.status_code for one in told) == [201] + [409] * (CONNECTIONS - 1)


def test_a_version_is_taken_once(rosterd: Rosterd) -> None:
    """If-Match: of two who read the same version, one is told 412."""
    idp = provider(rosterd)
    ana = idp.hire("ana")
    etag = idp.ask("GET", f"/Users/{ana['id']}").headers["etag"]
    assert etag == ana["meta"]["version"]

    def put(title: str) -> Any:
        part = {"op": "replace", "path": "title", "value": title}
        body = {"schemas": [PATCH], "Operations": [part]}
        return idp.ask("PATCH", f"/Users/{ana['id']}", body, If_Match=etag)

    told = at_once([lambda: put("one"), lambda: put("two")])
    assert sorted(one.status_code for one in told) == [200, 412]
    is_error(next(one for one in told if one.status_code == 412), 412)
    assert idp.ask("GET", f"/Users/{ana['id']}", If_None_Match=etag).status_code == 200
    etag = idp.ask("GET", f"/Users/{ana['id']}").headers["etag"]
    again = idp.ask("GET", f"/Users/{ana['id']}", If_None_Match=etag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


def test_a_patch_is_whole_or_nothing(rosterd: Rosterd) -> None:
    """The last of many operations fails: nothing of it is there, and no event."""
    idp = provider(rosterd)
    ana, crew = idp.hire("ana"), idp.group("Crew")
    parts = [
        {"op": "add", "path": "roles", "value": [{"value": f"r{number}"}]} for number in range(500)
    ]
    wrong = {"op": "replace", "path": "nothing.of.that", "value": "x"}
    before = len(rosterd.events())
    idp.patch(ana["id"], *parts, wrong, status=400)
    assert "roles" not in idp.get(ana["id"])
    idp.patch(
        crew["id"],
        {"op": "add", "path": "members", "value": [{"value": ana["id"]}]},
        {"op": "add", "path": "members", "value": [{"display": "nobody"}]},
        kind="Groups",
        status=400,
    )
    assert not idp.get(crew["id"], kind="Groups").get("members")
    assert len(rosterd.events()) == before


def test_a_refused_change_leaves_nothing_but_the_suspension_in_it(rosterd: Rosterd) -> None:
    """D10, E4: name and address are not taken, who is to be out is out."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1")
    idp.set_(ana["id"], status=400, title="Boss", userName="ana@other.example")
    assert "title" not in idp.get(ana["id"])
    idp.set_(ana["id"], status=400, active=False, title="Boss", emails=[{"value": "a @b"}])
    assert idp.get(ana["id"])[STATE]["state"] == "invited", "400 of the protocol: nothing at all"
    idp.set_(ana["id"], active=False)
    told = idp.set_(ana["id"], status=400, active=True, userName="ana@other.example")
    assert "other.example" in told["detail"]
    assert idp.get(ana["id"])["active"] is False
