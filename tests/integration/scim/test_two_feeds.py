"""SCIM and a hook of the same provider on one connection: one person, whoever speaks (U8)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.harness import Feed, Rosterd
from tests.scim import STATE, Provider, provider, speaking
from worker.cli.sender import Hook, Sender

SUSPEND, UNSUSPEND = "user.lifecycle.suspend", "user.lifecycle.unsuspend"


class Local(Sender):
    """A sender whose requests go to the application in this process."""

    def __init__(self, rosterd: Rosterd, feed: Feed) -> None:
        super().__init__(Hook(feed.path, feed.secret))
        self._rosterd = rosterd

    def _out(self, body: bytes, headers: object) -> int:
        told = {"Content-Type": "application/json", **headers}  # type: ignore[dict-item]
        return self._rosterd.http.post(self.hook.url, content=body, headers=told).status_code


@dataclass
class Okta:
    """Okta as it is set up beside SCIM: provisions by SCIM, tells of suspensions by hook only."""

    rosterd: Rosterd
    scim: Provider
    hook: Local

    def tell(self, type_: str, key: str, email: str = "") -> None:
        target = {"id": key, "type": "User", "alternateId": email or f"{key}@example.com"}
        assert self.hook.okta(type_, target) == 200
        self.rosterd.drain()


@pytest.fixture
def okta(rosterd: Rosterd) -> Okta:
    feed = rosterd.account(source="scim", name="acme", scim_state="always")
    hook = rosterd.feed(feed, "okta")
    return Okta(rosterd, speaking(rosterd, feed), Local(rosterd, hook))


def state(okta: Okta, key: str) -> str:
    line = okta.rosterd.user(key)
    assert line is not None
    return str(line["state"])


def test_what_the_hook_suspends_no_put_of_scim_brings_back(okta: Okta) -> None:
    """U8: Okta's SCIM client sends nothing when a person is suspended; its PUTs go on."""
    ana = okta.scim.hire("ana", externalId="00u1")
    okta.rosterd.accept("ana@example.com")
    okta.tell(SUSPEND, "00u1")
    assert state(okta, "00u1") == "suspended"
    shown = okta.scim.get(ana["id"])
    assert (shown["active"], shown[STATE]["state"]) == (False, "suspended")
    put = {"userName": "ana@example.com", "externalId": "00u1", "active": True, "title": "Boss"}
    told = okta.scim.told("PUT", f"/Users/{ana['id']}", put)
    assert (told["active"], told["title"]) == (False, "Boss"), "the truth is answered"
    assert state(okta, "00u1") == "suspended"
    okta.tell(UNSUSPEND, "00u1")
    assert state(okta, "00u1") == "active"
    assert okta.scim.get(ana["id"])["active"] is True


def test_what_scim_suspends_no_hook_brings_back(okta: Okta) -> None:
    """U8, the other way round: each feed's last word is its own."""
    ana = okta.scim.hire("ana", externalId="00u1")
    okta.rosterd.accept("ana@example.com")
    okta.scim.set_(ana["id"], active=False)
    okta.tell("user.lifecycle.activate", "00u1")
    assert state(okta, "00u1") == "suspended"
    okta.tell(SUSPEND, "00u1")
    okta.scim.set_(ana["id"], active=True)
    assert state(okta, "00u1") == "suspended", "the hook has not taken its word back"
    okta.tell(UNSUSPEND, "00u1")
    assert state(okta, "00u1") == "active"


def test_whom_the_hook_told_first_scim_finds_and_takes_up(okta: Okta) -> None:
    """U7: one external id, one person; found by userName, patched, and not made twice."""
    okta.tell("user.lifecycle.create", "00u1", "ana@example.com")
    okta.tell("user.lifecycle.create", "00u2", "bob@example.com")
    wanted = quote('userName eq "Ana@example.com"')
    found = okta.scim.told("GET", f"/Users?filter={wanted}")
    assert found["totalResults"] == 1
    (ana,) = found["Resources"]
    assert (ana["externalId"], ana["userName"]) == ("00u1", "ana@example.com")
    okta.scim.set_(ana["id"], title="Boss")
    bob = okta.scim.hire("bob", externalId="00u2")
    assert okta.scim.get(bob["id"])["externalId"] == "00u2"
    assert len(okta.rosterd.users()) == 2
    okta.scim.hire("bob", status=409)


def test_who_only_the_hook_tells_of_is_kept_up_for_scim(okta: Okta) -> None:
    """A change of address by another feed moves the name that SCIM finds."""
    standard = okta.rosterd.feed(Feed("", okta.rosterd.json("connection", "list")[0]["id"], ""))
    okta.rosterd.hire(standard, "u1", "ana@example.com", given_name="Ana")
    okta.rosterd.tell(standard, "user.email_changed", {"id": "u1", "email": "ana2@example.com"})
    found = okta.scim.told("GET", "/Users")
    (ana,) = found["Resources"]
    assert (ana["userName"], ana["name"]) == ("ana2@example.com", {"givenName": "Ana"})
    okta.rosterd.tell(standard, "group.upserted", {"id": "g1", "name": "Crew"})
    okta.rosterd.tell(standard, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    (crew,) = okta.scim.told("GET", "/Groups")["Resources"]
    assert [one["value"] for one in crew["members"]] == [ana["id"]]
    bob = okta.scim.hire("bob")
    okta.scim.join(crew["id"], bob["id"])
    members = okta.scim.get(crew["id"], kind="Groups")["members"]
    assert {one["value"] for one in members} == {ana["id"], bob["id"]}


def test_a_later_external_id_is_the_same_person_for_hooks(okta: Okta) -> None:
    """D13: the key of first contact stays; what it is called later is tried, too."""
    ana = okta.scim.hire("ana")
    okta.scim.set_(ana["id"], externalId="00u1")
    okta.tell(SUSPEND, "00u1")
    assert okta.scim.get(ana["id"])["active"] is False
    assert [one["external_id"] for one in okta.rosterd.users()] == [ana["id"]]


def test_an_external_id_of_a_hook_is_taken_away_by_scim_like_any(okta: Okta) -> None:
    """The person stays whom the hook means; by that name SCIM finds nobody."""
    okta.tell("user.lifecycle.create", "00u1", "ana@example.com")
    (ana,) = okta.scim.told("GET", "/Users")["Resources"]
    okta.scim.patch(ana["id"], {"op": "remove", "path": "externalId"})
    assert okta.scim.told("GET", "/Users?filter=externalId+pr")["totalResults"] == 0
    okta.tell(SUSPEND, "00u1")
    assert okta.scim.get(ana["id"])["active"] is False


def test_a_scim_feed_that_comes_later_shows_who_is_there(rosterd: Rosterd) -> None:
    """Everybody and every group of the connection, from the first list on."""
    feed = rosterd.account()
    for number in range(3):
        rosterd.hire(feed, f"u{number}")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    done = rosterd.cli("feed", "add", feed.connection, "--source", "scim", "--json")
    assert done.returncode == 0, done.stderr
    added = json.loads(done.stdout)
    assert added["scim_url"].endswith("/scim/v2")
    idp = Provider(rosterd, added["bearer_token"])
    assert {one["externalId"] for one in idp.told("GET", "/Users")["Resources"]} == {
        "u0",
        "u1",
        "u2",
    }
    assert [one["displayName"] for one in idp.told("GET", "/Groups")["Resources"]] == ["Crew"]
    rosterd.hire(feed, "u3")
    assert idp.told("GET", "/Users")["totalResults"] == 4


def test_a_connection_that_takes_over_shows_whom_it_took(rosterd: Rosterd) -> None:
    """C1: replacing a connection by SCIM; nobody is mailed."""
    old = provider(rosterd)
    ana = old.hire("ana", externalId="e1")
    mails = len(rosterd.mails())
    made = rosterd.json(
        "connection", "add", "--account", "acme", "--source", "scim", "--name", "new", "--observe"
    )
    done = rosterd.cli(
        "connection", "replace", "scim", "new", "--reason", "moving", "--yes", "--map", "same"
    )
    assert done.returncode == 0, done.stderr
    new = Provider(rosterd, made["bearer_token"])
    old.told("GET", f"/Users/{ana['id']}", status=401)
    (found,) = new.told("GET", "/Users")["Resources"]
    assert (found["externalId"], found["userName"]) == ("e1", "ana@example.com")
    assert found["id"] != ana["id"]
    new.get(ana["id"], status=404)
    assert len(rosterd.mails()) == mails


def test_who_is_deleted_for_good_is_no_resource_any_more(rosterd: Rosterd) -> None:
    """U5: by an operator only; a newer creation makes a new person."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1")
    idp.set_(ana["id"], active=False)
    (person,) = rosterd.json("user", "list", "--account", "acme")
    done = rosterd.cli("user", "delete", person["id"], "--reason", "asked", "--yes")
    assert done.returncode == 0, done.stderr
    idp.get(ana["id"], status=404)
    assert idp.told("GET", "/Users")["totalResults"] == 0
    back = idp.hire("ana", externalId="e1")
    assert back[STATE]["state"] == "invited"
    assert back["id"] != ana["id"]
