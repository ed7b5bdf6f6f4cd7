"""What operators do to people and groups on their pages: by role, with a reason, from there."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from tests.console import Operator
from tests.harness import Rosterd
from tests.integration.test_by_hand import added, at, told
from worker.adapters.db import rows


def state(rosterd: Rosterd, person: str) -> str:
    (found,) = rosterd.table(rows.people, rows.people.c.id == person)
    return str(found["state"])


def test_a_person_by_hand_is_let_out_and_in_again_and_given_a_role(rosterd: Rosterd) -> None:
    rosterd.account(owner="boss@example.com")
    bo = added(rosterd, "bo@example.com", "--active")
    here, editor = f"/people/{bo}", Operator(rosterd, "editor")
    assert "Suspended" in editor.did(f"{here}/suspend", at=here, reason="lost laptop")
    assert state(rosterd, bo) == "suspended"
    assert "active" in editor.did(f"{here}/reactivate", at=here, reason="found it")
    assert "administrator" in editor.did(
        f"{here}/role", at=here, role="administrator", reason="promoted"
    )
    assert editor.post(f"{here}/role", at=here, role="king", reason="r").status_code == 400
    assert "is on" in editor.did(f"{here}/break-glass", at=here, is_on="yes", reason="r")
    audit = rosterd.table(rows.audit, rows.audit.c.subject == bo)
    done = [(e["action"], e["actor"], e["reason"]) for e in audit if e["actor"] != "cli:root"]
    assert ("user.suspend", "operator:editor@example.com", "lost laptop") in done


def test_a_governed_person_is_overridden_for_a_while_only(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    person = at(rosterd, "u1@example.com")["id"]
    here, editor = f"/people/{person}", Operator(rosterd, "editor")
    assert "/suspend" not in editor.page(here), "the provider governs"
    assert editor.post(f"{here}/suspend", at=here, reason="r").status_code == 409
    again = {"wanted": "suspended", "until": "8h", "reason": "investigation"}
    assert "Kept suspended until" in editor.did(f"{here}/override", at=here, **again)
    assert state(rosterd, person) == "suspended"
    assert "override" in editor.page(here)
    assert "active" in editor.did(f"{here}/end-override", at=here, reason="cleared")
    assert state(rosterd, person) == "active"
    odd = {"wanted": "suspended", "until": "soon", "reason": "r"}
    assert editor.post(f"{here}/override", at=here, **odd).status_code == 400


def test_an_invitation_is_sent_again_and_revoked(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    first = rosterd.link("u1@example.com")
    person = at(rosterd, "u1@example.com")["id"]
    here, editor = f"/people/{person}", Operator(rosterd, "editor")
    assert "fresh link" in editor.did(f"{here}/resend", at=here, reason="lost it")
    assert rosterd.link("u1@example.com") != first
    assert "dead" in editor.did(f"{here}/revoke-invitation", at=here, reason="wrong person")
    assert rosterd.accept("u1@example.com") != 200


def test_only_who_may_erase_deletes_for_good(rosterd: Rosterd) -> None:
    rosterd.account()
    bo = added(rosterd, "bo@example.com", "--active")
    told(rosterd, "user", "suspend", bo)
    here = f"/people/{bo}"
    editor, admin = Operator(rosterd, "editor"), Operator(rosterd, "admin")
    assert f"{here}/delete" not in editor.page(here)
    assert editor.post(f"{here}/delete", at=here, reason="r").status_code == 403
    said = admin.did(f"{here}/delete", at=here, reason="asked for")
    (erasure,) = rosterd.json("erasure", "list")
    assert erasure["id"] in said
    assert (erasure["actor"], erasure["reason"]) == ("operator:admin@example.com", "asked for")
    assert admin.ask(here).status_code == 404


def test_a_group_by_hand_from_its_making_to_its_end(rosterd: Rosterd) -> None:
    rosterd.account()
    bo = added(rosterd, "bo@example.com", "--active")
    editor = Operator(rosterd, "editor")
    made = editor.post("/groups", at="/groups", account=rosterd.account_id, name="Crew", reason="r")
    assert made.status_code == 303
    here = made.headers["location"]
    assert "member now" in editor.did(
        f"{here}/members", at=here, person="bo@example.com", reason="r"
    )
    assert "nothing changed" in editor.did(f"{here}/members", at=here, person=bo, reason="r")
    assert "bo@example.com" in editor.page(here)
    may = {"permission": "open_private_space", "reason": "r"}
    assert "given" in editor.did(f"{here}/grant", at=here, **may)
    assert "taken" in editor.did(f"{here}/revoke", at=here, **may)
    assert "Gang" in editor.did(f"{here}/rename", at=here, name="Gang", reason="r")
    assert "No member any more" in editor.did(f"{here}/leave", at=here, person=bo, reason="r")
    assert "0 memberships" in editor.did(f"{here}/delete", at=here, reason="r")
    assert editor.ask(here).status_code == 404


def test_a_managed_or_built_in_group_shows_what_may_be_done_and_refuses_the_rest(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    rosterd.hire(feed, "u1")
    editor = Operator(rosterd, "editor")
    pages = unescape(editor.page("/groups"))
    here = next(one for one in pages.split('"') if one.startswith("/groups/idp_"))
    assert f"{here}/members" not in editor.page(here)
    fields: dict[str, Any] = {"person": "u1@example.com", "reason": "r"}
    refused = editor.post(f"{here}/members", at=here, **fields)
    assert (refused.status_code, "managed_group" in refused.text) == (409, True)
    owners = next(one for one in pages.split('"') if one.startswith("/groups/grp_"))
    assert editor.post(f"{owners}/delete", at=owners, reason="r").status_code == 409


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_whoever_may_only_look_sees_no_form_and_a_form_does_nothing(
    rosterd: Rosterd, role: str
) -> None:
    rosterd.account()
    bo = added(rosterd, "bo@example.com", "--active")
    here, looks = f"/people/{bo}", Operator(rosterd, role)
    assert "/suspend" not in looks.page(here)
    assert looks.post(f"{here}/suspend", reason="r").status_code == 403
    assert (
        looks.post("/groups", account=rosterd.account_id, name="X", reason="r").status_code == 403
    )
    assert state(rosterd, bo) == "active"


def test_c4_and_csrf_keep_others_out(rosterd: Rosterd) -> None:
    rosterd.account()
    bo = added(rosterd, "bo@example.com", "--active")
    with rosterd.setup() as use:
        use.add_account("other", owner=None, domains=[], parent=None, several=False)
    here, stranger = f"/people/{bo}", Operator(rosterd, "admin", account="other", name="s")
    assert stranger.post(f"{here}/suspend", reason="r").status_code == 404
    editor = Operator(rosterd, "editor")
    assert editor.post(f"{here}/suspend", csrf="0" * 64, reason="r").status_code == 403
    assert editor.post(f"{here}/suspend", at=here, reason=" ").status_code == 400
    assert state(rosterd, bo) == "active"
