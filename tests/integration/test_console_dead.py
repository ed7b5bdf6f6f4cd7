"""Dead letters and replays in the console: from the cause to the report, and who may not."""

from __future__ import annotations

import html
import re
from urllib.parse import quote, unquote

import pytest

from tests.console import Operator
from tests.harness import Feed, Rosterd
from tests.tenants import MARK, contents, related
from worker.adapters.db import rows

ACTS = ("start", "pause", "resume", "cancel")


def refused(rosterd: Rosterd, count: int = 3) -> Feed:
    """People of a domain that nobody allowed, and a body that is no event."""
    feed = rosterd.account()
    for number in range(count):
        rosterd.hire(feed, f"p{number}", f"p{number}@partner.example")
    rosterd.post(rosterd.signed(feed, b'{"type": "user.upserted", "data": []}', id_="msg_odd"))
    rosterd.drain()
    return feed


def group_path(rosterd: Rosterd, reason: str = "domain_not_allowed") -> str:
    letter = next(row for row in rosterd.dead() if row["reason"] == reason)
    return f"/dead-letters/group?fingerprint={quote(letter['fingerprint'])}"


def planned(rosterd: Rosterd, of: Operator, fingerprint: str) -> str:
    """The id of a replay that is planned whole."""
    at = f"/dead-letters/group?fingerprint={quote(fingerprint)}"
    told = of.post("/replays", at=at, fingerprint=fingerprint)
    assert told.status_code == 303, told.text
    rosterd.parts.replays.conduct.run()
    return str(told.headers["location"].rpartition("/")[2])


def carried_out(rosterd: Rosterd) -> None:
    """What workers do about replays, until nothing is due."""
    for _ in range(10):
        rosterd.parts.replays.conduct.run()
        rosterd.drain()
    rosterd.parts.replays.conduct.run()


def test_from_the_cause_over_the_domain_and_the_plan_to_the_report(rosterd: Rosterd) -> None:
    refused(rosterd)
    root = Operator(rosterd)
    groups = root.page("/dead-letters")
    assert "4 dead letters by cause" in groups
    assert "domain not allowed" in groups
    assert "domain not allowed" not in root.page("/dead-letters?cause=never_attempted")
    assert "unparseable" in root.page("/dead-letters?cause=never_attempted")
    at = group_path(rosterd)
    group = root.page(at)
    assert "3 dead letters: domain not allowed" in group
    assert "Allow the domain partner.example for acme" in group
    noted = {"note": "a partner: asked Ana", "fingerprint": unq(at)}
    assert root.did("/dead-letters/note", at=at, **noted) == "Noted."
    assert "a partner: asked Ana" in root.page(at)
    fields = {"account": rosterd.account_id, "domain": "partner.example"}
    told = root.post("/dead-letters/allow", at=at, reason="our partner", **fields)
    assert told.status_code == 303
    found = root.page(told.headers["location"])
    assert "Plan a replay of all that is found" in found
    assert "unparseable" not in re.sub(r"<option.*?</option>", "", found)
    plan = root.post("/replays", at=at, account=rosterd.account_id, domain="partner.example")
    here = plan.headers["location"]
    rosterd.parts.replays.conduct.run()
    page = root.page(here)
    assert "Replay of 3 events" in page
    assert "invite" in page
    assert "nothing was tried yet" in page
    assert root.post(f"{here}/start", at=here, reason="").status_code == 400
    assert root.post(f"{here}/start", at=here, reason="x", rate="fast").status_code == 400
    said = root.did(f"{here}/start", at=here, reason="partner is allowed", ramp="yes", stop_at="20")
    assert said.startswith("Started")
    carried_out(rosterd)
    report = root.page(here)
    assert "finished" in report
    assert "3 events became what the plan said, 0 events something else" in report
    assert len(rosterd.users()) == 3
    audit = root.page("/audit")
    for told_of in ("our partner", "partner is allowed", "domain allow"):
        assert told_of in audit, told_of
    assert "1 dead letter by cause" in root.page("/dead-letters")


def unq(at: str) -> str:
    """The fingerprint in the address of a group."""
    return unquote(at.partition("fingerprint=")[2])


def test_a_replay_is_paused_resumed_and_cancelled_and_second_hands_are_told(
    rosterd: Rosterd,
) -> None:
    feed = refused(rosterd, 4)
    rosterd.allow("partner.example")
    ana, ben = Operator(rosterd, "operator"), Operator(rosterd, "operator", name="ben")
    replay = planned(rosterd, ana, unq(group_path(rosterd)))
    here = f"/replays/{replay}"
    ana.did(f"{here}/start", at=here, reason="now", rate="1/h")
    second = ben.post(f"{here}/start", at=here, reason="me too")
    assert second.status_code == 409
    assert "cannot be started" in html.unescape(second.text) or "is running" in second.text
    assert ana.did(f"{here}/pause", at=here, reason="a look").startswith("Paused")
    assert "paused" in ben.page(here)
    assert ben.did(f"{here}/resume", at=here, reason="go on", rate="100/s") == "It goes on."
    assert ana.did(f"{here}/cancel", at=here, reason="enough").startswith("Cancelled")
    assert "cancelled" in ana.page("/replays")
    assert feed.connection


def test_some_are_discarded_with_a_reason_and_restored(rosterd: Rosterd) -> None:
    refused(rosterd)
    ana = Operator(rosterd, "operator")
    ids = [str(row["event_id"]) for row in rosterd.dead()][:2]
    at = "/dead-letters/list"
    assert ana.post("/dead-letters/discard", at=at, reason="x").status_code == 400
    assert ana.post("/dead-letters/discard", at=at, ids=ids[0]).status_code == 400
    told = ana.did("/dead-letters/discard", at=at, ids=",".join(ids), reason="not ours")
    assert told.startswith("Discarded: 2.")
    assert "not ours" in ana.page("/dead-letters/list?state=discarded")
    assert ana.post("/dead-letters/discard", at=at, ids=ids[0], reason="x").status_code == 404
    back = ana.did("/dead-letters/restore", at=at, ids=ids[0], reason="it is ours")
    assert back == "Restored: 1."
    entries = {row["action"] for row in rosterd.table(rows.audit)}
    assert {"dead.discarded", "dead.open"} & entries or {"dead.discard", "dead.restore"} & entries
    for wrong in ("x", "1;2", "d", "-1"):
        assert ana.post("/dead-letters/discard", at=at, ids=wrong, reason="x").status_code == 400


def test_a_viewer_sees_and_may_do_nothing(rosterd: Rosterd) -> None:
    refused(rosterd)
    viewer = Operator(rosterd, "viewer")
    at = group_path(rosterd)
    for path in ("/dead-letters", at, "/dead-letters/list?reason=domain_not_allowed", "/replays"):
        assert "csrf" not in viewer.page(path).partition("<main")[2].partition("</main>")[0], path
    for path, fields in (
        ("/replays", {"fingerprint": unq(at)}),
        (f"/events/{rosterd.dead()[0]['event_id']}/edit", {"patch": "[]"}),
        ("/replays/rpl_x/start", {}),
        ("/replays/rpl_x/pause", {}),
        ("/replays/rpl_x/resume", {}),
        ("/replays/rpl_x/cancel", {}),
        ("/dead-letters/discard", {"ids": "1"}),
        ("/dead-letters/restore", {"ids": "1"}),
        ("/dead-letters/note", {"note": "x", "fingerprint": unq(at)}),
        ("/dead-letters/allow", {"account": rosterd.account_id, "domain": "x.example"}),
    ):
        assert viewer.post(path, at="/", reason="x", **fields).status_code == 403, path


def test_an_event_is_edited_beside_the_original_once_it_was_tried(rosterd: Rosterd) -> None:
    refused(rosterd, 1)
    letter = next(row for row in rosterd.dead() if row["reason"] == "domain_not_allowed")
    here = f"/events/{letter['event_id']}"
    editor, ops = Operator(rosterd, "editor"), Operator(rosterd, "operator")
    assert "/edit" not in ops.page(here)
    assert ops.ask(f"{here}/edit").status_code == 403
    assert ops.post(f"{here}/edit", at=here, patch="[]", reason="x").status_code == 403
    assert "p0@partner.example" in html.unescape(editor.page(f"{here}/edit"))
    at = f"{here}/edit"
    for patch in ("{", "{}", "[1]", "[]", '[{"op": "replace", "path": "/no/where", "value": 1}]'):
        assert editor.post(at, at=at, patch=patch, reason="x").status_code == 400, patch
    patch = '[{"op": "replace", "path": "/data/email", "value": "p0@example.com"}]'
    tried = editor.post(at, at=at, patch=patch, do="try")
    assert tried.status_code == 200
    assert "It would be" in tried.text
    assert rosterd.users() == []
    assert editor.post(at, at=at, patch=patch, do="it", reason="").status_code == 400
    assert editor.did(at, at=at, patch=patch, do="it", reason="a typo").startswith("Made of event")
    rosterd.drain()
    assert [user["email"] for user in rosterd.users()] == ["p0@example.com"]
    assert "Edited as" in editor.page(here)
    assert editor.post(at, at=at, patch=patch, do="it", reason="again").status_code == 409


def test_an_empty_choice_is_refused(rosterd: Rosterd) -> None:
    refused(rosterd)
    ana = Operator(rosterd, "operator")
    told = ana.post("/replays", at="/dead-letters")
    assert told.status_code == 400
    assert rosterd.table(rows.events, rows.events.c.replay_id.is_not(None)) == []


@pytest.mark.parametrize("relation", ["stranger", "child"])
def test_c4_another_accounts_letters_and_replays_are_nobodys(
    rosterd: Rosterd, relation: str
) -> None:
    alpha, beta = related(rosterd, relation)
    ben = Operator(rosterd, "admin", account="beta")
    words = alpha.words
    assert ben.ask(f"/replays/{words['replay']}").status_code == 404
    assert ben.ask(f"/replays/{words['replay']}/stream").status_code == 404
    for path in ("/dead-letters", "/dead-letters/list", "/dead-letters/list?state=discarded",
                 f"/dead-letters/list?connection={words['connection']}", "/replays"):  # fmt: skip
        page = ben.page(path)
        asked = path.partition("?")[2]
        marks = [mark for mark in (*alpha.marks, MARK) if not mark.isdigit() and mark not in asked]
        assert not [mark for mark in marks if mark in page], path
    before = contents(rosterd)
    for path, fields in (
        *((f"/replays/{words['replay']}/{act}", {}) for act in ACTS),
        (f"/events/{words['letter']}/edit", {"patch": '[{"op": "test", "path": "", "value": 1}]'}),
        ("/replays", {"ids": words["letter"]}),
        ("/replays", {"connection": words["connection"]}),
        ("/dead-letters/discard", {"ids": words["letter"]}),
        ("/dead-letters/restore", {"ids": words["discarded"]}),
        ("/dead-letters/allow", {"account": words["account"], "domain": "beta.example"}),
    ):
        told = ben.post(path, at="/dead-letters/list", reason="mine?", **fields)
        assert told.status_code == 404, (path, told.status_code)
    assert {name for name, _ in contents(rosterd) ^ before} <= {"sessions", "sign_in_tries"}
    assert beta.words
