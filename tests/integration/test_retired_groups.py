"""C7, U10: after a retirement every view says the same of who is in which group."""

from __future__ import annotations

from typing import Any

from tests.api import Client
from tests.console import Operator
from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import at

ANA = "ana@example.com"
MEMBER = {"group_id": "g1", "user_id": "u1"}


def retired(app: Client, feed: Feed) -> None:
    app.post(f"/connections/{feed.connection}/retire", X_Reason="provisioning ends")


def sales(rosterd: Rosterd, app: Client) -> dict[str, Any]:
    groups = app.all("/groups", account=rosterd.account_id)
    (found,) = [group for group in groups if group["name"] == "Sales"]
    return dict(found)


def by_group(app: Client, group: str) -> list[str]:
    """Who is in it, as the API tells of the group."""
    members = app.all(f"/groups/{group}/members")
    return [member["user"]["email"] for member in members if member["user"]]


def by_person(app: Client, person: str) -> list[str]:
    """What they are in, as the API tells of the person."""
    return [group["name"] for group in app.get(f"/users/{person}/groups")["items"]]


def by_command(rosterd: Rosterd) -> list[str]:
    shown = rosterd.json("group", "show", "Sales", "--account", "acme")
    return [member["email"] for member in shown["members"]]


def test_c7_u10_whoever_was_in_a_group_is_told_to_be_in_it_after_the_retirement(
    rosterd: Rosterd,
) -> None:
    """Turning provisioning off takes nobody out; nor does the page of the person say so."""
    feed = rosterd.account()
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    rosterd.hire(feed, "u1", ANA)
    rosterd.tell(feed, "group.member_added", MEMBER)
    app, viewer = Client(rosterd, "operator", account=None), Operator(rosterd, "viewer")
    person, group = at(rosterd, ANA)["id"], sales(rosterd, app)["id"]
    before = by_person(app, person)
    assert "Sales" in before
    link = f'href="/groups/{group}"'
    assert link in viewer.page(f"/people/{person}")
    retired(app, feed)
    assert by_person(app, person) == before
    assert by_group(app, group) == by_command(rosterd) == [ANA]
    assert link in viewer.page(f"/people/{person}")
    assert ANA in viewer.page(f"/groups/{group}")


def test_c7_u10_whom_the_provider_took_out_no_retirement_puts_in_again(rosterd: Rosterd) -> None:
    """The provider's last word holds against a grant by hand from before it governed the group."""
    feed = rosterd.account(existing_groups="manage")
    rosterd.hire(feed, "u1", ANA)
    app, viewer = Client(rosterd, "operator", account=None), Operator(rosterd, "viewer")
    person = at(rosterd, ANA)["id"]
    group = app.post("/groups", {"name": "Sales", "account": rosterd.account_id}, 201)["id"]
    app.write("PUT", f"/groups/{group}/members/{person}", status=204)
    assert by_group(app, group) == [ANA]
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    rosterd.tell(feed, "group.member_removed", MEMBER)
    assert by_group(app, group) == by_command(rosterd) == []
    retired(app, feed)
    assert by_group(app, group) == by_command(rosterd) == []
    assert "Sales" not in by_person(app, person)
    assert ANA not in viewer.page(f"/groups/{group}")
