"""What is read at an identity provider, on the console's pages: access, log, reconciliations."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import update

from domain.reconciliation import Order, Purpose, RunState
from tests.console import Operator
from tests.fakes.directory import Truth, TruthDirectory
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import accesses
from worker.adapters.db.reconciliation_rows import reconciliations
from worker.bootstrap import Container

BUDGET = timedelta(seconds=30)


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Truth:
    truth = Truth()
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: TruthDirectory(truth))
    return truth


@pytest.fixture
def feed(rosterd: Rosterd, truth: Truth) -> Feed:
    """One who is known on both sides, one whom only we know, one whom only the IdP knows."""
    feed = rosterd.account(source="okta", scope="everyone")
    words = ("--url", "https://example.okta.com", "--secret", "-", "--reason", "read back")
    done = rosterd.cli("connection", "access", "okta", *words, typed="00token")
    assert done.returncode == 0, done.stderr
    standard = rosterd.feed(feed)
    for key in ("u1", "gone"):
        rosterd.hire(standard, key)
    for key in ("u1", "<b>new</b>"):
        truth.hire(key, "u1@example.com" if key == "u1" else "new@example.com")
    return standard


def finished(rosterd: Rosterd) -> str:
    """The run that is under way, gone on with as workers do; its id."""
    (run,) = rosterd.table(reconciliations, reconciliations.c.state == RunState.RUNNING.value)
    while rosterd.parts.reading.reconcile.go_on(run["id"], budget=BUDGET):
        pass
    return str(run["id"])


def told(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_comparison_is_begun_and_its_differences_are_looked_at(
    rosterd: Rosterd, feed: Feed
) -> None:
    operator = Operator(rosterd)
    here = f"/connections/{feed.connection}/reading"
    assert here in operator.page(f"/connections/{feed.connection}")
    before = told(operator.page(here))
    assert "okta at https://example.okta.com" in before
    assert "Never. What the provider changed" in before
    begin = f"/connections/{feed.connection}/reconciliations"
    assert "Begun" in operator.did(begin, at=here, reason="monthly")
    run = finished(rosterd)
    rosterd.drain()
    seen = told(operator.page(f"/reconciliations/{run}"))
    assert "a dry run: nothing was changed" in seen
    assert "“monthly”" in seen
    assert "people 1 1 0 0" in seen, "missing, extra, differing, waiting"
    assert "&lt;b&gt;new&lt;/b&gt;" in operator.page(f"/reconciliations/{run}?what=missing")
    assert "gone" not in told(operator.page(f"/reconciliations/{run}?what=missing"))
    assert run in operator.page(here)
    assert (rosterd.user("gone") or {})["state"] != "suspended"


def test_what_differs_is_mended_by_events_and_by_nobody_who_may_only_look(
    rosterd: Rosterd, feed: Feed
) -> None:
    begin = f"/connections/{feed.connection}/reconciliations"
    here = f"/connections/{feed.connection}/reading"
    viewer = Operator(rosterd, "viewer")
    assert begin not in viewer.page(here)
    assert viewer.post(begin, at=here, reason="x", mend="yes").status_code == 403
    operator = Operator(rosterd)
    assert operator.post(begin, at=here, mend="yes").status_code == 400, "say why"
    operator.did(begin, at=here, reason="they left", mend="yes")
    run = finished(rosterd)
    rosterd.drain()
    assert "events said" in told(operator.page(f"/reconciliations/{run}"))
    assert (rosterd.user("gone") or {})["state"] in ("suspended", "invited_suspended")
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.reconcile")
    assert (entry["actor"], entry["reason"]) == ("operator:admin@example.com", "they left")


def test_a_run_is_cancelled_once_and_twice_is_once(rosterd: Rosterd, feed: Feed) -> None:
    operator = Operator(rosterd)
    here = f"/connections/{feed.connection}/reading"
    operator.did(f"/connections/{feed.connection}/reconciliations", at=here, reason="monthly")
    (run,) = rosterd.table(reconciliations)
    at = f"/reconciliations/{run['id']}"
    csrf = re.search(r'name="csrf" value="(\w+)"', operator.page(at))
    assert csrf is not None
    assert "Cancelled" in operator.did(f"{at}/cancel", at=at, reason="not now")
    while rosterd.parts.reading.reconcile.go_on(run["id"], budget=BUDGET):
        pass
    assert "not now" in operator.page(at)
    again = {"csrf": csrf.group(1), "reason": "twice"}
    assert operator.post(f"{at}/cancel", **again).status_code == 303
    assert "twice" not in told(operator.page(at))


def test_an_identity_provider_that_does_not_answer_is_told_with_what_to_do(
    rosterd: Rosterd, feed: Feed
) -> None:
    with rosterd.parts.database.begin() as connection:
        why = "it does not know rosterd's credentials (401): give it others"
        failing = {"failures": 3, "last_error": why, "needs_operator": True}
        connection.execute(update(accesses).values(**failing))
        connection.commit()
    seen = told(Operator(rosterd).page(f"/connections/{feed.connection}/reading"))
    assert why.replace("'", "&#39;") in seen
    assert "Another try fares the same until somebody changes that" in seen


def test_without_access_it_says_how_to_give_it_and_nothing_can_be_begun(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    operator = Operator(rosterd)
    here = f"/connections/{feed.connection}/reading"
    assert "rosterd connection access standard" in told(operator.page(here))
    begin = f"/connections/{feed.connection}/reconciliations"
    refused = operator.post(begin, at="/connections/new", reason="x")
    assert (refused.status_code, "has no access" in refused.text) == (409, True)


def test_another_accounts_readings_and_runs_are_nowhere(rosterd: Rosterd, feed: Feed) -> None:
    order = Order(Purpose.RECONCILE, applies=False, actor="test", reason="")
    rosterd.parts.reading.reconcile.begin(feed.connection, order)
    (run,) = rosterd.table(reconciliations)
    rosterd.account(name="other")
    stranger = Operator(rosterd, account="other", name="stranger")
    for path in (f"/connections/{feed.connection}/reading", f"/reconciliations/{run['id']}"):
        assert stranger.ask(path).status_code == 404
        assert stranger.ask(f"{path}/stream").status_code == 404
    csrf = re.search(r'name="csrf" value="(\w+)"', stranger.page("/connections/new"))
    assert csrf is not None
    asked = {"csrf": csrf.group(1), "reason": "x"}
    assert stranger.post(f"/reconciliations/{run['id']}/cancel", **asked).status_code == 404
    begin = f"/connections/{feed.connection}/reconciliations"
    assert stranger.post(begin, **asked).status_code == 404
    assert rosterd.table(reconciliations)[0]["state"] == RunState.RUNNING.value
