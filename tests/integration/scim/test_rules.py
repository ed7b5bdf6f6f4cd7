"""The rules of the directory, told by SCIM: each refusal is an error that says why."""

from __future__ import annotations

from tests.harness import Feed, Rosterd
from tests.scim import STATE, is_error, provider, speaking
from worker.adapters.db import rows
from worker.adapters.db.scim_rows import scim_resources


def test_a_domain_that_is_not_allowed_is_told_and_replayed_once_it_is(rosterd: Rosterd) -> None:
    """E4, G8: 400 invalidValue naming the domain; the dead letter makes the same resource."""
    idp = provider(rosterd)
    refused = idp.ask("POST", "/Users", {"userName": "ana@other.example", "externalId": "e1"})
    told = is_error(refused, 400, "invalidValue")
    assert "other.example" in told["detail"]
    again = idp.hire("ana@other.example", externalId="e1", status=400)
    assert again["detail"] == told["detail"]
    (letter,) = rosterd.dead()
    assert (letter["reason"], letter["attempts"]) == ("domain_not_allowed", 2)
    assert rosterd.users() == []
    rosterd.allow("other.example")
    done = rosterd.cli(
        "dead", "replay", str(letter["event_id"]), "--reason", "allowed", "--yes", "--wait", "0"
    )
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    assert rosterd.user("e1")["state"] == "invited"  # type: ignore[index]
    assert rosterd.dead() == []
    found = rosterd.table(scim_resources)
    assert idp.get(found[0]["id"])["userName"] == "ana@other.example"
    idp.hire("ana@other.example", externalId="e1", status=409)


def test_a_change_of_address_waits_for_the_member_and_is_shown_as_asked(rosterd: Rosterd) -> None:
    """E2, E3, E6."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1")
    moved = idp.set_(ana["id"], userName="ana2@example.com")
    assert moved[STATE]["emailInForce"] == "ana2@example.com", "never accepted: in force at once"
    rosterd.accept("ana2@example.com")
    asked = idp.set_(ana["id"], userName="ana3@example.com")
    assert asked["userName"] == "ana3@example.com"
    assert asked[STATE]["emailInForce"] == "ana2@example.com"
    assert asked[STATE]["pendingEmail"] == "ana3@example.com"
    rosterd.accept("ana3@example.com")
    assert "pendingEmail" not in idp.get(ana["id"])[STATE]
    assert idp.get(ana["id"])[STATE]["emailInForce"] == "ana3@example.com"
    idp.set_(ana["id"], status=400, userName="ana@other.example")
    assert idp.get(ana["id"])["userName"] == "ana3@example.com"


def test_an_address_belongs_to_one_person(rosterd: Rosterd) -> None:
    """E8: 409 at once, whether it is in force or pending; nobody waits."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1")
    bob = idp.hire("bob", externalId="e2")
    rosterd.accept("ana@example.com")
    idp.set_(ana["id"], userName="ana2@example.com")
    told = idp.set_(bob["id"], status=409, userName="ana2@example.com")
    assert told["scimType"] == "uniqueness"
    for name in ("cleo", "dora"):
        done = rosterd.cli(
            "user", "add", f"{name}@example.com", "--account", "acme", "--reason", "x"
        )
        assert done.returncode == 0, done.stderr
    assert idp.set_(bob["id"], status=409, userName="dora@example.com")["scimType"] == "uniqueness"
    assert idp.get(bob["id"])["userName"] == "bob@example.com"
    assert [letter["reason"] for letter in rosterd.dead()] == ["address_taken"]
    linked = idp.hire("cleo", externalId="e3")
    assert linked[STATE]["state"] == "invited", "U7: a person by hand is linked"
    assert {row["state"] for row in rosterd.events()} == {"ended", "dead"}


def test_names_are_taken_once(rosterd: Rosterd) -> None:
    """409 uniqueness: userName without regard to case, displayName."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1")
    bob = idp.hire("bob", externalId="e2")
    is_error(idp.ask("POST", "/Users", {"userName": "ANA@Example.com"}), 409, "uniqueness")
    assert idp.set_(bob["id"], status=409, userName="Ana@example.com")["scimType"] == "uniqueness"
    idp.set_(ana["id"], externalId="e9")
    assert idp.get(ana["id"])["externalId"] == "e9"
    idp.group("Crew")
    is_error(idp.ask("POST", "/Groups", {"displayName": "crew"}), 409, "uniqueness")


def test_whoever_was_deleted_is_404_and_returns_as_the_same(rosterd: Rosterd) -> None:
    """U3, D13: suspended, never removed; the same userName comes back to the same person."""
    idp = provider(rosterd)
    ana = idp.hire("ana")
    rosterd.accept("ana@example.com")
    idp.told("DELETE", f"/Users/{ana['id']}", status=204)
    assert [one["state"] for one in rosterd.users()] == ["suspended"]
    for method, body in (("GET", None), ("PUT", {"userName": "x@example.com"}), ("DELETE", None)):
        is_error(idp.ask(method, f"/Users/{ana['id']}", body), 404)
    back = idp.hire("Ana")
    assert back["id"] != ana["id"]
    assert back[STATE]["state"] == "active"
    assert [(one["external_id"], one["state"]) for one in rosterd.users()] == [
        (ana["id"], "active")
    ]
    idp.told("DELETE", f"/Users/{back['id']}", status=204)
    third = idp.hire("ana", externalId="e1")
    assert third[STATE]["state"] == "active"
    assert len(rosterd.users()) == 1
    idp.get(ana["id"], status=404)


def test_a_deleted_user_may_be_read_where_the_setting_says_so(rosterd: Rosterd) -> None:
    """U3: deleted_get."""
    idp = provider(rosterd, deleted_get="200")
    ana = idp.hire("ana")
    idp.told("DELETE", f"/Users/{ana['id']}", status=204)
    assert idp.get(ana["id"])["active"] is False


def test_the_last_owner_and_break_glass_people_are_left_alone(rosterd: Rosterd) -> None:
    """U6: 403, and a dead letter."""
    idp = provider(rosterd, owner="boss@example.com")
    told = idp.hire("boss", active=False, externalId="e1", status=403)
    assert "last owner" in told["detail"]
    ana = idp.hire("ana", externalId="e2")
    (person,) = [row for row in rosterd.table(rows.people) if row["email"] == "ana@example.com"]
    done = rosterd.cli("user", "break-glass", person["id"], "on", "--reason", "keeper")
    assert done.returncode == 0, done.stderr
    idp.set_(ana["id"], active=False, status=403)
    idp.told("DELETE", f"/Users/{ana['id']}", status=403)
    assert idp.get(ana["id"])["active"] is True
    assert {letter["reason"] for letter in rosterd.dead()} == {"protected_user"}


def test_groups_that_no_provider_manages(rosterd: Rosterd) -> None:
    """G2, G3, G5."""
    idp = provider(rosterd)
    ana = idp.hire("ana")
    assert "built-in" in idp.group("Owners", ana["id"], status=403)["detail"]
    done = rosterd.cli("group", "add", "Keys", "--account", "acme", "--reason", "x")
    assert done.returncode == 0, done.stderr
    assert idp.group("keys", status=409)["scimType"] == "uniqueness"
    crew = idp.group("Crew", ana["id"])
    renamed = {"op": "replace", "path": "displayName", "value": "Security"}
    idp.patch(crew["id"], renamed, kind="Groups", status=403)
    assert idp.get(crew["id"], kind="Groups")["displayName"] == "Crew"
    assert {letter["reason"] for letter in rosterd.dead()} == {"protected_group", "group_exists"}


def test_a_group_that_is_given_a_protecting_permission_drops_out(rosterd: Rosterd) -> None:
    """G3: memberships included."""
    idp = provider(rosterd)
    ana, crew = idp.hire("ana"), idp.group("Crew")
    (group,) = [
        g for g in rosterd.json("group", "list", "--account", "acme") if g["name"] == "Crew"
    ]
    done = rosterd.cli("group", "grant", group["id"], "recover_accounts", "--reason", "x")
    assert done.returncode == 0, done.stderr
    idp.join(crew["id"], ana["id"], status=403)
    idp.told("DELETE", f"/Groups/{crew['id']}", status=403)


def test_guests_are_told_so(rosterd: Rosterd) -> None:
    """S2: never 201 for somebody who is ignored."""
    idp = provider(rosterd)
    told = idp.hire("ana", userType="Guest", status=403)
    assert "guests" in told["detail"]
    assert rosterd.users() == []
    (event,) = rosterd.events()
    assert (event["outcome"], event["reason"]) == ("ignored", "guest")
    bob = idp.hire("bob")
    out = idp.set_(bob["id"], userType="guest")
    assert (out["active"], out[STATE]["state"]) == (False, "invited_suspended")


def test_scope_by_groups(rosterd: Rosterd) -> None:
    """S1: who is outside is known and not mailed; the membership lets them in, and out."""
    idp = provider(rosterd, scope="groups:g1")
    ana = idp.hire("ana", externalId="e1")
    assert ana[STATE] == {"state": "waiting", "waitsFor": "scope", "isManaged": False}
    assert rosterd.users() == []
    crew = idp.group("Crew", externalId="g1")
    idp.join(crew["id"], ana["id"])
    assert idp.get(ana["id"])[STATE]["state"] == "invited"
    idp.leave(crew["id"], ana["id"])
    gone = idp.get(ana["id"])
    assert (gone["active"], gone[STATE]["state"]) == (False, "invited_suspended")


def test_a_paused_connection_says_so(rosterd: Rosterd) -> None:
    """C2: 503 and Retry-After in whole seconds; reads go on."""
    idp = provider(rosterd)
    ana = idp.hire("ana")
    with rosterd.setup() as use:
        known = use.connection("scim")
        use.set_connection_state(known, "paused", reason="test")
    answer = idp.ask("PATCH", f"/Users/{ana['id']}", {"Operations": []})
    assert "paused" in is_error(answer, 503)["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert idp.get(ana["id"])["id"] == ana["id"]
    with rosterd.setup() as use:
        use.set_connection_state(use.connection("scim"), "active", reason="test")
    assert idp.set_(ana["id"], active=False)["active"] is False


def test_what_the_breaker_holds_is_told_and_happens_when_it_is_approved(rosterd: Rosterd) -> None:
    """C6: 503, held once however often it is sent; an approval suspends."""
    idp = provider(rosterd, breaker_min="1", breaker_percent="1")
    ana, bob = idp.hire("ana", externalId="e1"), idp.hire("bob", externalId="e2")
    assert idp.set_(ana["id"], active=False)["active"] is False
    for _ in range(3):
        answer = idp.ask("DELETE", f"/Users/{bob['id']}")
        assert "approve" in is_error(answer, 503)["detail"]
        assert int(answer.headers["retry-after"]) > 0
    held = [row for row in rosterd.events() if row["state"] == "held"]
    assert len(held) == 1
    assert idp.get(bob["id"])["active"] is True
    (hold,) = rosterd.json("hold", "list")
    done = rosterd.cli("hold", "approve", hold["id"], "--reason", "yes", "--yes")
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    assert rosterd.user("e2")["state"] == "invited_suspended"  # type: ignore[index]
    idp.get(bob["id"], status=404)


def test_an_observing_connection_keeps_what_it_is_told(rosterd: Rosterd) -> None:
    """S4: documents are kept and shown; nothing is applied until it goes live."""
    with rosterd.setup() as use:
        rosterd.account_id = use.add_account(
            "acme", owner=None, domains=["example.com"], parent=None, several=False
        )
    made = rosterd.json(
        "connection",
        "add",
        "--account",
        "acme",
        "--source",
        "scim",
        "--observe",
        "--set",
        "scim_state=always",
    )
    idp = speaking(rosterd, Feed(made["feed"], made["id"], ""))
    ana = idp.hire("ana", externalId="e1")
    assert ana[STATE] == {
        "state": "waiting",
        "waitsFor": "going live",
        "isManaged": False,
        "isObserving": True,
    }
    crew = idp.group("Crew", ana["id"])
    idp.set_(ana["id"], title="Boss")
    assert idp.get(ana["id"])["title"] == "Boss"
    assert rosterd.export() == []
    assert {row["state"] for row in rosterd.events()} == {"held"}
    done = rosterd.cli(
        "connection", "go-live", made["id"], "--reason", "ready", "--yes", "--wait", "0"
    )
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    assert rosterd.user("e1")["state"] == "invited"  # type: ignore[index]
    assert [m["value"] for m in idp.get(crew["id"], kind="Groups")["members"]] == [ana["id"]]
    assert idp.get(ana["id"])[STATE]["state"] == "invited"


def test_a_return_with_another_address_is_another_person(rosterd: Rosterd) -> None:
    """E5: the SCIM id goes to the new person."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1")
    rosterd.accept("ana@example.com")
    idp.set_(ana["id"], active=False)
    idp.set_(ana["id"], userName="ana2@example.com")
    assert idp.get(ana["id"])[STATE]["state"] == "suspended"
    back = idp.set_(ana["id"], active=True)
    assert back[STATE]["state"] == "invited"
    assert back[STATE]["emailInForce"] == "ana2@example.com"
    assert {(one["external_id"], one["state"]) for one in rosterd.users()} == {
        ("e1", "invited"),
        (None, "suspended"),
    }


def test_somebody_of_another_connection_is_not_taken(rosterd: Rosterd) -> None:
    """U7: 409, naming nobody."""
    feed = rosterd.account(several=True)
    rosterd.hire(feed, "u1", "ana@example.com")
    rosterd.drain()
    idp = speaking(rosterd, rosterd.connect("acme", source="scim"))
    told = idp.hire("ana", externalId="e1", status=409)
    assert told["scimType"] == "uniqueness"
    assert "standard" not in told["detail"]
    assert [letter["reason"] for letter in rosterd.dead()] == ["owned_elsewhere"]


def test_an_event_tells_who_asked_for_what(rosterd: Rosterd) -> None:
    """G3: request, outcome, before and after, token; passwords are cut."""
    idp = provider(rosterd)
    idp.hire("ana", externalId="e1", password="hunter2-marker")
    (event,) = rosterd.json("event", "list")
    assert (event["type"], event["subject"], event["outcome"]) == ("user.post", "e1", "applied")
    story = rosterd.cli("event", "show", str(event["id"]), "--json")
    assert story.returncode == 0, story.stderr
    assert "hunter2-marker" not in story.stdout
    assert "ana@example.com" in story.stdout
    (entry,) = [row for row in rosterd.table(rows.audit) if row["event_id"] == event["id"]]
    assert entry["actor"].startswith("token:tok_")


def test_g8_who_names_no_subject_is_refused_again_as_the_same(rosterd: Rosterd) -> None:
    """Providers send it every forty minutes: one dead letter, found by the name that is told."""
    idp = provider(rosterd)
    for title in ("Cook", "Cook", "Chef", "Chef"):
        idp.hire("ana@other.example", status=400, title=title)
    idp.hire("bob@other.example", status=400)
    assert sorted(letter["attempts"] for letter in rosterd.dead()) == [1, 2, 2]
    told = {event["subject"] for event in rosterd.events()}
    assert told == {"ana@other.example", "bob@other.example"}
    rosterd.allow("other.example")
    for letter in rosterd.dead():
        words = (
            "dead",
            "replay",
            str(letter["event_id"]),
            "--reason",
            "allowed",
            "--yes",
            "--wait",
            "0",
        )
        assert rosterd.cli(*words, "--wait", "0").returncode == 0
        rosterd.drain()
    users = {one["email"]: one["external_id"] for one in rosterd.users()}
    assert set(users) == {"ana@other.example", "bob@other.example"}
    found = {one["userName"]: one["id"] for one in idp.told("GET", "/Users")["Resources"]}
    assert found == users, "the subject is the resource's id, and its events are found by it"
    kept = {event["subject"] for event in rosterd.events() if event["outcome"] == "applied"}
    assert kept == set(users.values())


def test_a_group_is_refused_again_as_the_same(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    for _ in range(3):
        idp.group("Owners", status=403)
    (letter,) = rosterd.dead()
    assert (letter["reason"], letter["attempts"]) == ("protected_group", 3)


def test_only_scim_is_given_an_address_and_a_token(rosterd: Rosterd) -> None:
    """C3: what is shown once opens something."""
    words = ("connection", "add", "--account", "acme", "--name", "hooks", "--observe", "--source")
    provider(rosterd)
    made = rosterd.json(*words, "standard")
    assert (made["scim_url"], made["bearer_token"]) == ("", "")
    assert made["hook_url"]
    assert made["signing_secret"]
    assert [one["name"] for one in rosterd.json("token", "list")] == ["scim feed", "test"]
