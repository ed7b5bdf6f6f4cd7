"""`/api/v1` from outside: who is let in, what errors look like, pages, and what is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from worker.adapters.db.engine import Database
from worker.settings import load_settings
from worker.web.api.problems import MEDIA_TYPE, TYPES


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    return rosterd.account()


@pytest.fixture
def app(rosterd: Rosterd, feed: Feed) -> Client:
    return Client(rosterd, "directory:read")


def made(app: Client, of: str = "") -> list[Any]:
    """The groups that are not built in, of everybody or of one person."""
    return [group for group in app.all(f"{of}/groups") if not group["built_in"]]


def test_c3_without_a_live_token_of_the_scope_nothing_is_told(rosterd: Rosterd, feed: Feed) -> None:
    http = rosterd.http
    for headers in (
        {},
        {"Authorization": "Bearer rst_unknown"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic rst_unknown"},
    ):
        told = http.get("/api/v1/users", headers=headers)
        is_problem(told, 401, "unauthenticated")
        assert told.headers["www-authenticate"].startswith("Bearer")
    told = Client(rosterd, "scim:read").ask("GET", "/users")
    is_problem(told, 403, "insufficient_scope")
    assert told.json()["scope"] == "directory:read"
    assert 'error="insufficient_scope"' in told.headers["www-authenticate"]
    assert Client(rosterd, "operator", account=None).ask("GET", "/users").status_code == 422


def test_c3_a_revoked_or_expired_token_is_dead_at_once(rosterd: Rosterd, app: Client) -> None:
    assert app.ask("GET", "/users").status_code == 200
    assert rosterd.cli("token", "revoke", app.token[:12], "--reason", "x").returncode == 0
    is_problem(app.ask("GET", "/users"), 401, "unauthenticated")
    late = Client(rosterd, "directory:read", days=0)
    is_problem(late.ask("GET", "/users"), 401, "unauthenticated")


def test_c3_that_a_token_is_used_is_told_once_a_minute(rosterd: Rosterd, app: Client) -> None:
    def used() -> list[Any]:
        told = json.loads(rosterd.cli("token", "list", "--json").stdout)
        return [row["last_used_at"] for row in told if row["name"] == "app"]

    assert used() == [None]
    app.ask("GET", "/users")
    first = used()
    assert first != [None]
    app.ask("GET", "/users")
    assert used() == first


def test_a_token_sees_its_own_account_only(rosterd: Rosterd, feed: Feed, app: Client) -> None:
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    (mine,), (crew,) = app.all("/users"), made(app)
    rosterd.account(name="other")
    other = Client(rosterd, "directory:read", account="other")
    assert other.all("/users") == []
    assert made(other) == []
    for path in (
        f"/users/{mine['id']}",
        f"/users/{mine['id']}/groups",
        f"/groups/{crew['id']}",
        f"/groups/{crew['id']}/members",
    ):
        assert app.ask("GET", path).status_code == 200
        is_problem(other.ask("GET", path), 404, "not_found")
    for params in ({"account": mine["account"]}, {"group": crew["id"]}):
        is_problem(other.ask("GET", "/users", params=params), 404, "not_found")
    assert other.all("/users", email="u1@example.com") == []
    assert other.all("/users", external_id="u1") == []
    everything = Client(rosterd, "operator", account=None)
    assert everything.all("/users", account=mine["account"]) == [mine]
    assert everything.get(f"/users/{mine['id']}") == mine


def test_every_error_has_one_shape(rosterd: Rosterd, app: Client) -> None:
    is_problem(app.ask("GET", "/nothing"), 404, "not_found")
    is_problem(app.ask("GET", "/users/usr_nobody"), 404, "not_found")
    is_problem(app.ask("GET", "/groups/grp_nothing"), 404, "not_found")
    told = app.ask("PUT", "/users")
    is_problem(told, 405, "method_not_allowed")
    assert told.headers["allow"] == "GET, POST"
    for method, path, allowed in (
        ("OPTIONS", "/users", "GET, POST"),
        ("POST", "/users/x", "GET, PATCH, DELETE"),
        ("PATCH", "/status", "GET"),
        ("GET", "/dead-letters/discard/x", None),
    ):
        told = app.ask(method, path)
        assert told.headers.get("allow") == allowed, (method, path, told.text)
    big = b" " * (rosterd.settings.max_body_bytes + 1)
    typed = {"content-type": "application/json"}
    is_problem(app.ask("POST", "/users", content=big, headers=typed), 413, "too_large")
    told = app.ask("POST", "/users", content=b"a=1", headers={"content-type": "text/plain"})
    is_problem(told, 415, "unsupported_media_type")
    for params in (
        {"limit": 0},
        {"limit": 1001},
        {"limit": "many"},
        {"cursor": "%"},
        {"cursor": "AA"},
        {"state": "odd"},
        {"email": "a\0b"},
        {"emial": "u1@example.com"},
    ):
        told = app.ask("GET", "/users", params=params)
        is_problem(told, 422, "invalid")
    (error,) = app.ask("GET", "/users", params={"emial": "x"}).json()["errors"]
    assert (error["in"], error["field"]) == ("query", "emial")
    assert rosterd.http.get(TYPES + "not_found").json()["status"] == 404
    is_problem(rosterd.http.get(TYPES + "odd"), 404, "not_found")


def test_answers_carry_an_id_and_are_kept_by_nobody(rosterd: Rosterd, app: Client) -> None:
    told = app.ask("GET", "/users", headers={"X-Request-Id": "mine-1"})
    assert told.headers["x-request-id"] == "mine-1"
    odd = app.ask("GET", "/users", headers={"X-Request-Id": "a b"})
    assert odd.headers["x-request-id"].startswith("req_")
    for answer in (told, odd, rosterd.http.get("/api/v1/users"), app.ask("GET", "/x")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_f25_while_the_database_is_away_it_is_503_and_says_when_to_come_back(
    rosterd: Rosterd, app: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(Database):
        def __init__(self) -> None:
            super().__init__("postgresql+psycopg://nobody@127.0.0.1:1/nothing")

    monkeypatch.setitem(rosterd.parts.__dict__, "database", Away())
    told = app.ask("GET", "/users")
    is_problem(told, 503, "unavailable")
    assert int(told.headers["retry-after"]) > 0


def test_a_token_that_asks_too_often_waits_and_no_other_does(
    database_url: str, tmp_path: Any
) -> None:
    rosterd = Rosterd(database_url, tmp_path, api_rate=0.01)
    with rosterd.serving():
        rosterd.account()
        app, other = (Client(rosterd, "directory:read") for _ in range(2))
        assert app.ask("GET", "/users").status_code == 200
        told = app.ask("GET", "/users")
        is_problem(told, 429, "rate_limited")
        assert 0 < int(told.headers["retry-after"]) <= 101
        assert other.ask("GET", "/users").status_code == 200
    rosterd.close()
    assert load_settings().api_rate > 1


def test_u10_the_full_state_of_a_person_is_told(rosterd: Rosterd, feed: Feed, app: Client) -> None:
    rosterd.hire(feed, "u1", given_name="Ana", family_name="Silva", display_name="Ana Silva")
    (user,) = app.all("/users")
    assert user == {
        "id": user["id"],
        "account": rosterd.account_id,
        "email": "u1@example.com",
        "requested_email": "u1@example.com",
        "pending_email": None,
        "state": "invited",
        "managed": True,
        "connection": feed.connection,
        "external_id": "u1",
        "role": "member",
        "break_glass": False,
        "given_name": "Ana",
        "family_name": "Silva",
        "display_name": "Ana Silva",
        "undeliverable": None,
        "returns_as_new": False,
    }
    rosterd.accept("u1@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "new@example.com"})
    moved = app.get(f"/users/{user['id']}")
    assert (moved["state"], moved["email"], moved["pending_email"]) == (
        "active",
        "u1@example.com",
        "new@example.com",
    )


def test_e5_who_would_return_as_a_new_person_is_told_before(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    (user,) = app.all("/users")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    assert app.get(f"/users/{user['id']}")["returns_as_new"] is False
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "new@example.com"})
    told = app.get(f"/users/{user['id']}")
    assert (told["state"], told["requested_email"]) == ("suspended", "new@example.com")
    assert told["returns_as_new"] is True
    rosterd.tell(feed, "user.reactivated", {"id": "u1"})
    assert {one["state"] for one in app.all("/users")} == {"suspended", "invited"}
    assert app.get(f"/users/{user['id']}")["returns_as_new"] is False


def test_people_are_found_by_each_filter_and_all_of_them(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key)
    rosterd.tell(feed, "user.suspended", {"id": "u2"})
    rosterd.accept("u3@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u3", "email": "new@example.com"})
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    for key in ("u2", "u3"):
        rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": key})
    (crew,) = made(app)

    def found(**params: Any) -> set[str]:
        return {one["external_id"] for one in app.all("/users", **params)}

    assert found() == {"u1", "u2", "u3"}
    assert found(email="U1@Example.com") == {"u1"}
    assert found(email="new@example.com") == found(email="u3@example.com") == {"u3"}
    assert found(email="u1") == set()
    assert found(state="invited_suspended") == {"u2"}
    assert found(state="active") == {"u3"}
    assert found(external_id="u2") == {"u2"}
    assert found(role="member") == {"u1", "u2", "u3"}
    assert found(role="owner") == set()
    assert found(managed=True) == {"u1", "u2", "u3"}
    assert found(managed=False) == set()
    assert found(group=crew["id"]) == {"u2", "u3"}
    assert found(group=crew["id"], state="active") == {"u3"}
    assert found(group=crew["id"], email="NEW@example.com") == {"u3"}
    assert found(email="u1@example.com", state="active") == set()
    assert found(state="invited", external_id="u1", managed=True) == {"u1"}


def test_pages_hold_everybody_once_while_people_come(
    rosterd: Rosterd, feed: Feed, app: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import worker.adapters.db.people_pages as pages

    for number in range(9):
        rosterd.hire(feed, f"u{number}")
    rosterd.tell(feed, "user.suspended", {"id": "u4"})
    for window in (5_000, 3, 1):
        monkeypatch.setattr(pages, "WINDOW", window)
        for limit in (1, 2, 3, 9, 10):
            everybody = app.all("/users", limit=limit)
            assert [one["id"] for one in everybody] == sorted(one["id"] for one in everybody)
            assert len({one["id"] for one in everybody}) == len(everybody) == 9
            assert len(app.all("/users", limit=limit, managed=True, state="invited")) == 8
            assert len(app.all("/users", limit=limit, role="member", state="active")) == 0
    first = app.get("/users", limit=4)
    rosterd.hire(feed, "late")
    rest = app.all("/users", cursor=first["next"])
    told = [one["external_id"] for one in (*first["items"], *rest)]
    assert len(told) == len(set(told)) >= 9


def test_g1_g7_groups_and_who_is_in_them(rosterd: Rosterd, feed: Feed, app: Client) -> None:
    odd = "a/b?c#%2F ü"
    rosterd.tell(feed, "group.upserted", {"id": odd, "name": "Crew"})
    rosterd.tell(feed, "group.upserted", {"id": "gone", "name": "Gone"})
    rosterd.hire(feed, "u1")
    for key in ("u1", "later", odd):
        rosterd.tell(feed, "group.member_added", {"group_id": odd, "user_id": key})
    rosterd.tell(feed, "group.member_added", {"group_id": "gone", "user_id": "u1"})
    rosterd.tell(feed, "group.deleted", {"id": "gone"})
    (crew,) = made(app)
    assert (crew["name"], crew["external_id"], crew["managed"]) == ("Crew", odd, True)
    assert app.get(f"/groups/{crew['id']}") == crew
    for limit in (1, 2, 3):
        members = app.all(f"/groups/{crew['id']}/members", limit=limit)
        told = {one["external_id"]: (one["effective"], one["user"] is None) for one in members}
        assert told == {"u1": (True, False), "later": (False, True), odd: (False, True)}
        assert len(members) == 3
    (user,) = app.all("/users")
    assert made(app, f"/users/{user['id']}") == [crew]
    rosterd.tell(feed, "group.member_removed", {"group_id": odd, "user_id": "u1"})
    assert made(app, f"/users/{user['id']}") == []
    rosterd.tell(feed, "group.deleted", {"id": odd})
    assert made(app) == []
    is_problem(app.ask("GET", f"/groups/{crew['id']}"), 404, "not_found")


def test_c7_groups_of_a_retired_connection_stay_and_are_nobodys(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    done = rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    assert done.returncode == 0, done.stderr
    (crew,), (user,) = made(app), app.all("/users")
    assert (crew["managed"], user["managed"], user["state"]) == (False, False, "invited")
    (member,) = app.all(f"/groups/{crew['id']}/members")
    assert member["user"] == user


def test_who_has_it_already_is_told_that_nothing_changed(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    (user,) = app.all("/users")
    path = f"/users/{user['id']}"
    tag = app.ask("GET", path).headers["etag"]
    for asked in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        told = app.ask("GET", path, headers={"If-None-Match": asked})
        assert (told.status_code, told.content, told.headers["etag"]) == (304, b"", tag)
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    told = app.ask("GET", path, headers={"If-None-Match": tag})
    assert told.status_code == 200
    assert told.headers["etag"] != tag


def test_the_description_tells_every_operation_with_its_scope_and_its_problems(
    rosterd: Rosterd,
) -> None:
    document = rosterd.http.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api"}]
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in str(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert MEDIA_TYPE in operation["responses"]["422"]["content"], (method, path)
            if path.startswith("/v1"):
                assert operation["security"][0]["token"], (method, path)
                assert {"401", "403", "429", "503"} <= set(operation["responses"])
