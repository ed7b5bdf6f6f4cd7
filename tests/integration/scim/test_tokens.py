"""Who may speak SCIM: tokens, their scopes, ends and rates; and accounts apart (C3, G7)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.harness import Feed, Rosterd
from tests.scim import Provider, is_error, provider, speaking
from worker.adapters.db import rows
from worker.web.app import build_web


def feed_of(rosterd: Rosterd, connection: str = "scim") -> Feed:
    with rosterd.setup() as use:
        known = use.connection(connection)
        return Feed(use.feeds(known["id"])[0]["id"], known["id"], "")


def test_a_connection_is_added_and_its_token_works_at_once(rosterd: Rosterd) -> None:
    """S1: everyone is in scope unless it says otherwise."""
    assert rosterd.cli("account", "add", "acme", "--domain", "example.com").returncode == 0
    made = rosterd.json("connection", "add", "--account", "acme", "--source", "scim")
    assert made["scim_url"].endswith("/scim/v2")
    assert (made["hook_url"], made["signing_secret"]) == ("", "")
    idp = Provider(rosterd, made["bearer_token"])
    assert idp.hire("ana")["active"] is True
    (listed,) = rosterd.json("connection", "list")
    assert listed["scope_rule"] == "everyone"
    told = rosterd.cli("connection", "show", made["id"]).stdout
    assert made["bearer_token"] not in told


@pytest.mark.parametrize("token", ["", "rst_wrong", "rst_\u00e9", "x" * 5000])
def test_without_a_live_token_everything_is_401(rosterd: Rosterd, token: str) -> None:
    idp = provider(rosterd)
    for method, path in (("GET", "/Users"), ("POST", "/Users"), ("GET", "/Schemas"), ("GET", "/x")):
        headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
        told = rosterd.http.request(method, f"/scim/v2{path}", headers=headers)
        is_error(told, 401)
        assert told.headers["www-authenticate"].startswith("Bearer")
    assert rosterd.events() == []
    del idp


def test_scopes(rosterd: Rosterd) -> None:
    """C3: scim:read reads and searches, scim:write writes."""
    idp = provider(rosterd)
    ana = idp.hire("ana")
    reads = speaking(rosterd, feed_of(rosterd), "scim:read")
    assert reads.get(ana["id"])["id"] == ana["id"]
    assert reads.told("POST", "/Users/.search", {"schemas": []})["totalResults"] == 1
    reads.set_(ana["id"], active=False, status=403)
    reads.hire("bob", status=403)
    writes = speaking(rosterd, feed_of(rosterd), "scim:write")
    writes.get(ana["id"], status=403)
    assert (
        speaking(rosterd, feed_of(rosterd), "directory:write").ask("GET", "/Users").status_code
        == 403
    )


def test_tokens_live_side_by_side_and_end_at_once(rosterd: Rosterd) -> None:
    """C3: several live ones, expiry, revoked at once, last used once a minute."""
    idp = provider(rosterd)
    feed = feed_of(rosterd)
    done = rosterd.cli(
        "token", "add", "next", "--feed", feed.id, "--scope", "scim:read", "--days", "1"
    )
    assert done.returncode == 0, done.stderr
    second = Provider(rosterd, done.stdout.strip())
    assert idp.ask("GET", "/Users").status_code == second.ask("GET", "/Users").status_code == 200
    used = {row["name"]: row["last_used_at"] for row in rosterd.table(rows.tokens)}
    assert used["next"] is not None
    second.ask("GET", "/Users")
    again = {row["name"]: row["last_used_at"] for row in rosterd.table(rows.tokens)}
    assert again["next"] == used["next"], "not written again within the minute"
    assert rosterd.cli("token", "revoke", idp.token, "--reason", "x").returncode == 0
    is_error(idp.ask("GET", "/Users"), 401)
    assert second.ask("GET", "/Users").status_code == 200
    with rosterd.setup() as use:
        past = use.now - timedelta(seconds=1)
        ended = use.add_feed_token(rosterd.account_id, feed.id, name="old", expires_at=past)
    is_error(Provider(rosterd, ended).ask("GET", "/Users"), 401)
    assert rosterd.cli("feed", "retire", feed.id, "--reason", "x", "--yes").returncode == 0
    is_error(second.ask("GET", "/Users"), 401)


def test_a_token_of_the_account_speaks_for_its_feed(rosterd: Rosterd) -> None:
    """One feed needs no name; of several the path names one."""
    idp = provider(rosterd, several=True)
    done = rosterd.cli(
        "token", "add", "t", "--account", "acme", "--scope", "scim:read", "--scope", "scim:write"
    )
    general = Provider(rosterd, done.stdout.strip())
    ana = general.hire("ana")
    assert idp.get(ana["id"])["id"] == ana["id"]
    other = rosterd.connect("acme", source="scim", name="second")
    is_error(general.ask("GET", "/Users"), 401)
    named = Provider(rosterd, general.token, base=f"/scim/v2/{other.id}")
    assert named.told("GET", "/Users")["totalResults"] == 0
    bob = named.hire("bob")
    assert f"/scim/v2/{other.id}/Users/" in bob["meta"]["location"]
    named.get(ana["id"], status=404)
    is_error(Provider(rosterd, idp.token, base=f"/scim/v2/{other.id}").ask("GET", "/Users"), 401)


def test_whoever_asks_too_often_is_told_when_to_come_back(rosterd: Rosterd) -> None:
    """429 with Retry-After in whole seconds; nothing was done."""
    idp = provider(rosterd)
    object.__setattr__(rosterd.settings, "scim_rate", 1)
    from starlette.testclient import TestClient

    with TestClient(build_web(rosterd.parts)) as slow:
        headers = {"Authorization": f"Bearer {idp.token}"}
        told = [
            slow.post("/scim/v2/Users", json={"userName": f"u{n}@example.com"}, headers=headers)
            for n in range(4)
        ]
    assert [one.status_code for one in told[:2]] == [201, 201]
    last = told[-1]
    is_error(last, 429)
    assert last.headers["retry-after"].isdigit()
    assert int(last.headers["retry-after"]) >= 1
    assert len(rosterd.users()) < 4


def test_another_accounts_ids_are_404_always(rosterd: Rosterd) -> None:
    """Read, written, named as a member, looked for; and nothing is changed or told.

    G7: as a member it is kept as any word that nobody was told of: waiting, for ever.
    """
    alpha = provider(rosterd)
    ana, crew = alpha.hire("ana", externalId="e1"), alpha.group("Crew", externalId="g1")
    alpha.join(crew["id"], ana["id"])
    with rosterd.setup() as use:
        other = use.add_account(
            "beta", owner=None, domains=["example.com"], parent=None, several=False
        )
    beta = speaking(rosterd, rosterd.connect("beta", source="scim"))
    before = rosterd.export()
    put = {"userName": "x@example.com", "displayName": "x"}
    for kind, id_ in (("Users", ana["id"]), ("Groups", crew["id"])):
        beta.get(id_, kind=kind, status=404)
        beta.told("PUT", f"/{kind}/{id_}", put, status=404)
        part = {"op": "replace", "path": "displayName", "value": "x"}
        beta.patch(id_, part, kind=kind, status=404)
        beta.told("DELETE", f"/{kind}/{id_}", status=404)
    assert beta.told("GET", "/Users")["totalResults"] == 0
    mine = beta.group("Mine", ana["id"])
    assert mine["members"] == beta.join(mine["id"], ana["id"])["members"]
    assert [one["value"] for one in mine["members"]] == [ana["id"]]
    (edge,) = [one for one in rosterd.export(other) if one["kind"] == "membership"]
    assert (edge["user"], edge["effective"]) == (ana["id"], False)
    assert "groups" not in beta.hire("ana", externalId="e1"), "their names are their own"
    assert rosterd.export() == before


def test_nothing_is_kept_of_a_body_that_is_refused(rosterd: Rosterd) -> None:
    """Errors of the protocol: the right status, scimType and no event."""
    idp = provider(rosterd)
    for body, status, scim_type in (
        (b"{", 400, "invalidSyntax"),
        (b"[]", 400, "invalidSyntax"),
        (b"{}", 400, "invalidValue"),
        (b'{"userName": {}}', 400, "invalidValue"),
        (b'{"userName": "a\\u0000@example.com"}', 400, "invalidSyntax"),
        (b"[" * 100 + b"]" * 100, 400, "invalidSyntax"),
    ):
        told = rosterd.http.post(
            "/scim/v2/Users",
            content=body,
            headers={
                "Authorization": f"Bearer {idp.token}",
                "Content-Type": "application/scim+json",
            },
        )
        is_error(told, status, scim_type)
    for method, path, status in (
        ("POST", "/Users/x", 405),
        ("PATCH", "/Users", 405),
        ("GET", "/Nothing", 404),
        ("GET", "/Me", 501),
        ("OPTIONS", "/Users", 405),
    ):
        is_error(idp.ask(method, path), status)
    assert rosterd.events() == []
