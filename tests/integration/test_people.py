"""The rules about people, through HTTP and the mails that members get, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from domain.errors import RefusedError
from domain.model import Role
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows


def test_u1_unknown_person_is_invited_and_mailed(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "ana@example.com", given_name="Ana")
    user = rosterd.user("u1")
    assert user is not None
    assert (user["state"], user["email"], user["given_name"]) == (
        "invited",
        "ana@example.com",
        "Ana",
    )
    assert "/invitations/" in rosterd.link("ana@example.com")


def test_u2_accepting_is_active_at_once_and_looking_accepts_nothing(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    link = rosterd.link("u1@example.com")
    assert rosterd.http.get(link).status_code == 200
    assert rosterd.http.head(link).status_code in (200, 405)
    assert rosterd.user("u1")["state"] == "invited"  # type: ignore[index]
    assert rosterd.http.post(link).status_code == 200
    assert rosterd.user("u1")["state"] == "active"  # type: ignore[index]
    assert rosterd.http.post(link).status_code == 200, "pressing twice is no error"


def test_u3_u4_suspend_and_bring_back(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    for type_ in ("user.suspended", "user.suspended", "user.deleted"):
        rosterd.tell(feed, type_, {"id": "u1"})
        assert rosterd.user("u1")["state"] == "suspended"  # type: ignore[index]
    rosterd.tell(feed, "user.reactivated", {"id": "u1"})
    assert rosterd.user("u1")["state"] == "active"  # type: ignore[index]
    assert len(rosterd.mails()) == 1, "who had accepted is not invited again"


def test_u3_u4_invited_person_loses_the_link_and_gets_a_fresh_one(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    old = rosterd.link("u1@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    assert rosterd.user("u1")["state"] == "invited_suspended"  # type: ignore[index]
    assert rosterd.http.post(old).status_code == 410
    rosterd.tell(feed, "user.reactivated", {"id": "u1"})
    assert rosterd.user("u1")["state"] == "invited"  # type: ignore[index]
    assert rosterd.http.post(old).status_code == 410
    assert rosterd.accept("u1@example.com") == 200
    assert rosterd.user("u1")["state"] == "active"  # type: ignore[index]


def test_upsert_without_active_never_reactivates(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    rosterd.hire(feed, "u1", given_name="Ana")
    user = rosterd.user("u1")
    assert user is not None
    assert (user["state"], user["given_name"]) == ("invited_suspended", "Ana")


def test_u7_person_made_by_hand_is_linked_and_keeps_the_address(rosterd: Rosterd) -> None:
    feed = rosterd.account(owner="boss@example.com")
    with rosterd.setup() as use:
        from domain.model import PersonState, Role

        person = use.add_person(
            rosterd.account_id, "Ana@Example.com", role=Role.MEMBER, state=PersonState.ACTIVE
        )
    rosterd.hire(feed, "u1", "ana@example.COM", given_name="Ana")
    user = rosterd.user("u1")
    assert user is not None
    assert (user["state"], user["email"], user["managed"]) == ("active", "Ana@Example.com", True)
    assert rosterd.mails() == []
    assert [d["kind"] for d in rosterd.table(rows.decisions)] == ["link"]
    assert rosterd.table(rows.decisions)[0]["person_id"] == person


def test_u6_last_owner_is_neither_adopted_nor_suspended(rosterd: Rosterd) -> None:
    feed = rosterd.account(owner="boss@example.com")
    rosterd.hire(feed, "u1", "boss@example.com")
    assert [letter["reason"] for letter in rosterd.dead()] == ["protected_user"]
    assert rosterd.users()[0]["managed"] is False


def test_u7_owned_elsewhere(rosterd: Rosterd) -> None:
    one = rosterd.account(several=True)
    other = rosterd.connect("acme", name="second")
    rosterd.hire(one, "u1", "ana@example.com")
    rosterd.hire(other, "x9", "ana@example.com")
    assert [letter["reason"] for letter in rosterd.dead()] == ["owned_elsewhere"]


def test_c1_one_connection_governs_unless_several_are_allowed(rosterd: Rosterd) -> None:
    from domain.errors import UsageError

    rosterd.account()
    with pytest.raises(UsageError, match="already has a connection"):
        rosterd.connect("acme", name="second")


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (3, 2, 1), (2, 3, 1)])
def test_u8_only_the_feed_that_suspended_brings_back(
    rosterd: Rosterd, order: tuple[int, ...]
) -> None:
    hook = rosterd.account()
    whole = rosterd.feed(hook)
    rosterd.hire(hook, "u1", at=0)
    rosterd.accept("u1@example.com")
    steps: dict[int, tuple[Feed, str, dict[str, object]]] = {
        1: (hook, "user.suspended", {"id": "u1"}),
        2: (
            whole,
            "user.upserted",
            {
                "id": "u1",
                "email": "u1@example.com",
                "active": True,
                "attributes": {"title": "Chief"},
            },
        ),
        3: (hook, "user.reactivated", {"id": "u1"}),
    }
    seen = []
    for step in order:
        feed, type_, data = steps[step]
        rosterd.tell(feed, type_, data, at=step)
        seen.append(rosterd.user("u1")["state"])  # type: ignore[index]
    if order == (1, 2, 3):
        assert seen == ["suspended", "suspended", "active"]
    assert seen[-1] == "active"
    (person,) = rosterd.table(rows.people, rows.people.c.user_key == "u1")
    assert b'"title":"Chief"' in person["profile"]


def test_e2_the_old_address_is_in_force_until_the_new_one_says_yes(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "ana@example.com")
    rosterd.accept("ana@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "ana.b@example.com"})
    user = rosterd.user("u1")
    assert user is not None
    assert (user["email"], user["requested_email"]) == ("ana@example.com", "ana.b@example.com")
    note = [m for m in rosterd.mails() if "To: ana@example.com" in m and "about to change" in m]
    assert len(note) == 1
    assert rosterd.accept("ana.b@example.com") == 200
    assert rosterd.user("u1")["email"] == "ana.b@example.com"  # type: ignore[index]


def test_e3_an_invited_persons_address_changes_at_once(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "ana@example.com")
    old = rosterd.link("ana@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "b@example.com"})
    assert rosterd.user("u1")["email"] == "b@example.com"  # type: ignore[index]
    assert rosterd.http.post(old).status_code == 410
    assert rosterd.accept("b@example.com") == 200


def test_e4_a_domain_nobody_allowed_is_refused_and_says_so(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "ana@elsewhere.example")
    (letter,) = rosterd.dead()
    assert letter["reason"] == "domain_not_allowed"
    assert "elsewhere.example" in letter["last_error"]
    assert rosterd.users() == []
    assert rosterd.mails() == []


def test_e4_d10_a_suspension_inside_a_refused_event_is_applied(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    rosterd.hire(feed, "u1", "x@elsewhere.example", active=False)
    user = rosterd.user("u1")
    assert user is not None
    assert user["state"] == "suspended"
    assert user["email"] == "u1@example.com"


@pytest.mark.parametrize("way", ["meanwhile", "with the return", "as a new create"])
def test_e5_returning_with_another_address_makes_a_new_person(rosterd: Rosterd, way: str) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Engineering"})
    rosterd.hire(feed, "u1", "ana@example.com")
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    rosterd.accept("ana@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    mailed = len(rosterd.mails())
    if way == "meanwhile":
        rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "new@example.com"})
        assert len(rosterd.mails()) == mailed, "nobody is mailed while suspended"
        assert rosterd.user("u1")["email"] == "ana@example.com"  # type: ignore[index]
        rosterd.tell(feed, "user.reactivated", {"id": "u1"})
    else:
        rosterd.hire(feed, "u1", "new@example.com", active=True)
    new, old = rosterd.user("u1"), rosterd.user(None)
    assert new is not None
    assert old is not None
    assert (new["state"], new["email"]) == ("invited", "new@example.com")
    assert (old["state"], old["email"], old["managed"]) == ("suspended", "ana@example.com", False)
    assert [x["effective"] for x in rosterd.export() if x["kind"] == "membership"] == [True]
    assert rosterd.accept("new@example.com") == 200
    assert rosterd.user("u1")["state"] == "active"  # type: ignore[index]


def test_e5_same_user_asks_for_the_address_after_the_return(rosterd: Rosterd) -> None:
    feed = rosterd.account(on_return="same_user")
    rosterd.hire(feed, "u1", "ana@example.com")
    rosterd.accept("ana@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    rosterd.hire(feed, "u1", "new@example.com", active=True)
    user = rosterd.user("u1")
    assert user is not None
    assert (user["state"], user["email"]) == ("active", "ana@example.com")
    assert rosterd.accept("new@example.com") == 200
    assert rosterd.user("u1")["email"] == "new@example.com"  # type: ignore[index]


def test_e6_newest_change_supersedes_a_change_back_cancels(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "a@example.com")
    rosterd.accept("a@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "b@example.com"})
    first = rosterd.link("b@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "c@example.com"})
    assert rosterd.http.post(first).status_code == 410
    second = rosterd.link("c@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "a@example.com"})
    assert rosterd.http.post(second).status_code == 410
    assert rosterd.user("u1")["email"] == "a@example.com"  # type: ignore[index]


def test_e6_links_are_stored_hashed_and_expire(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    link = rosterd.link("u1@example.com")
    token = link.rpartition("/")[2].encode()
    assert all(token not in bytes(row["token_hash"]) for row in rosterd.table(rows.links))
    with rosterd.parts.database.begin() as connection:
        (row,) = rosterd.table(rows.links)
        past = row["created_at"] - timedelta(days=1)
        connection.execute(update(rows.links).values(expires_at=past))
        connection.commit()
    assert rosterd.http.post(link).status_code == 410
    assert "ask your administrator" in rosterd.http.get(link).text
    assert rosterd.http.get("/invitations/nonsense").status_code == 410


def test_e8_a_taken_address_waits_and_is_given_when_freed(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "team@example.com")
    rosterd.tell(feed, "user.upserted", {"id": "u2", "email": "TEAM@example.com"}, id_="second")
    assert rosterd.outcome("second") == ("waiting", "address_taken")
    assert rosterd.user("u2") is None
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "own@example.com"})
    assert rosterd.outcome("second")[0] == "applied"
    assert rosterd.user("u2")["email"] == "TEAM@example.com"  # type: ignore[index]


def test_e8_after_a_day_it_is_dead_and_names_the_holder(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "team@example.com")
    rosterd.tell(feed, "user.upserted", {"id": "u2", "email": "team@example.com"}, id_="second")
    (row,) = rosterd.events(rows.events.c.external_id == "second")
    assert row["due_at"] - row["waiting_since"] == timedelta(hours=24)
    with rosterd.parts.database.begin() as connection:
        moved = row["received_at"] - timedelta(hours=25)
        connection.execute(
            update(rows.events)
            .where(rows.events.c.id == row["id"])
            .values(waiting_since=moved, due_at=moved)
        )
        connection.commit()
    rosterd.drain()
    (letter,) = rosterd.dead()
    (holder,) = rosterd.table(rows.people)
    assert letter["reason"] == "address_taken"
    assert holder["id"] in letter["last_error"]


def test_e8_d4_rehire_is_the_same_person_with_a_fresh_invitation(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "old", "ana@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "old"})
    before = rosterd.table(rows.people)[0]["id"]
    rosterd.hire(feed, "new", "ana@example.com")
    assert rosterd.user("old") is None
    assert rosterd.user("new")["state"] == "invited"  # type: ignore[index]
    assert [p["id"] for p in rosterd.table(rows.people)] == [before]
    assert rosterd.accept("ana@example.com") == 200


def test_e8_rehire_new_user_leaves_the_leaver_alone(rosterd: Rosterd) -> None:
    feed = rosterd.account(rehire="new_user")
    rosterd.hire(feed, "old", "ana@example.com")
    rosterd.accept("ana@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "old"})
    rosterd.hire(feed, "new", "ana@example.com")
    assert rosterd.user("new")["state"] == "invited"  # type: ignore[index]
    assert rosterd.user(None)["state"] == "suspended"  # type: ignore[index]


def test_e8_two_invited_people_swap_addresses(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "a@example.com")
    rosterd.hire(feed, "u2", "b@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "b@example.com"}, drain=False)
    rosterd.tell(feed, "user.email_changed", {"id": "u2", "email": "a@example.com"})
    assert {u["external_id"]: u["email"] for u in rosterd.users()} == {
        "u1": "b@example.com",
        "u2": "a@example.com",
    }
    assert {e["state"] for e in rosterd.events()} == {"ended"}


def test_s2_guests_are_never_in_scope(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(
        feed,
        "user.upserted",
        {"id": "u1", "email": "u1@example.com", "user_type": "guest"},
        id_="guest",
    )
    assert rosterd.outcome("guest") == ("ignored", "guest")
    assert rosterd.users() == []


def test_s1_scope_groups_entering_invites_leaving_suspends(rosterd: Rosterd) -> None:
    feed = rosterd.account(scope="groups:staff")
    rosterd.tell(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"}, id_="early")
    assert rosterd.outcome("early") == ("ignored", "out_of_scope")
    assert rosterd.users() == []
    assert rosterd.mails() == []
    member = {"group_id": "staff", "user_id": "u1"}
    rosterd.tell(feed, "group.upserted", {"id": "staff", "name": "Staff"})
    rosterd.tell(feed, "group.member_added", member)
    assert rosterd.user("u1")["state"] == "invited"  # type: ignore[index]
    rosterd.tell(feed, "group.member_removed", member)
    assert rosterd.user("u1")["state"] == "invited_suspended"  # type: ignore[index]
    rosterd.tell(feed, "group.members_replaced", {"group_id": "staff", "user_ids": ["u1"]})
    assert rosterd.user("u1")["state"] == "invited"  # type: ignore[index]
    rosterd.tell(feed, "group.deleted", {"id": "staff"})
    assert rosterd.user("u1")["state"] == "invited_suspended"  # type: ignore[index]


def test_s1_a_source_of_a_whole_organisation_needs_a_scope() -> None:
    from domain.connecting import parse_scope
    from domain.errors import UsageError

    with pytest.raises(UsageError, match="whole organisation"):
        parse_scope(None, needs_scope=True, source="okta")


def test_d16_facts_older_than_the_horizon_are_dead(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", at=-31 * 86400)
    assert [letter["reason"] for letter in rosterd.dead()] == ["too_old"]
    rosterd.hire(feed, "u2", at=-29 * 86400)
    assert rosterd.user("u2") is not None


def test_d2_far_future_is_clamped_and_counted(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", at=10 * 86400)
    (event,) = rosterd.events()
    assert event["is_clamped"]
    assert event["occurred_at"] == event["received_at"]


def test_e6_sending_again_kills_the_old_link_and_says_who_asked(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    old = rosterd.link("u1@example.com")
    person = rosterd.table(rows.people, rows.people.c.user_key == "u1")[0]["id"]
    rosterd.parts.members.resend(person, actor="eve", reason="lost the mail")
    new = rosterd.link("u1@example.com")
    assert new != old
    assert rosterd.http.post(old).status_code == 410
    assert rosterd.http.post(new).status_code == 200
    audit = rosterd.table(rows.audit, rows.audit.c.action == "user.resend")
    assert [(a["actor"], a["reason"], a["subject"]) for a in audit] == [
        ("eve", "lost the mail", person)
    ]
    with pytest.raises(RefusedError, match="nothing is open"):
        rosterd.parts.members.resend(person, actor="eve", reason="again")


def test_u6_two_owners_who_leave_in_one_batch(rosterd: Rosterd) -> None:
    """Whether somebody is the last is asked for each event anew, not once for all of them."""
    feed = rosterd.account()
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
        assert rosterd.accept(f"{key}@example.com") == 200
    for person in rosterd.table(rows.people):
        rosterd.parts.people.set_role(person["id"], Role.OWNER, actor="t", reason="r")
    for key in ("u1", "u2"):
        rosterd.tell(feed, "user.suspended", {"id": key}, drain=False)
    rosterd.drain()
    assert sorted(one["state"] for one in rosterd.users()) == ["active", "suspended"]
    assert [letter["reason"] for letter in rosterd.dead()] == ["protected_user"]
