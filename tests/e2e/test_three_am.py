"""The 3 a.m. story in a browser, on real processes: from dead letters to a report that fits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_injured import Fleeting, fleet
from tests.servers import RedisServer, await_true
from worker.adapters.db import rows
from worker.adapters.db.replay_rows import replays
from worker.bootstrap_operators import ITSELF

pytestmark = pytest.mark.long
COUNT = 60
OPERATOR = "ana@example.com"


def signed_in(whole: Fleeting, page: Page) -> None:
    """By a one-time link, as `rosterd operator link` prints it."""
    appoint = whole.stage.parts.operators.appoint
    appoint.add(ITSELF, OPERATOR, "admin", account=None)
    page.goto(f"{whole.fleet.url}/sign-in/{appoint.link(ITSELF, OPERATOR)}")
    page.get_by_role("button").first.click()
    page.wait_for_url(f"{whole.fleet.url}/")


def done(page: Page, act: str, **fields: str) -> str:
    """Fill the form that posts there and press its button; what the next page says."""
    form = page.locator(f"form[action$='{act}']")
    # What was said stands above it: a page may have arrived only so far.
    form.wait_for(state="attached")
    closed = page.locator("details:not([open])", has=form)
    if closed.count():
        closed.locator("summary").click()
    for name, value in fields.items():
        form.locator(f"[name={name}]").fill(value)
    form.locator("button[type=submit]").click()
    said = page.locator("p.said").first
    expect(said).to_be_visible()
    return said.inner_text()


@pytest.mark.timeout(300)
def test_g8_dead_letters_are_understood_mended_and_replayed_while_a_worker_dies(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path, browser: Browser
) -> None:
    with fleet(tmp_path, postgres_url, redis_server.url) as whole:
        for number in range(COUNT):
            data = {"id": f"u{number}", "email": f"u{number}@partner.example"}
            assert whole.idp.standard("user.upserted", data) == 200
        await_true(lambda: len(whole.stage.dead("acme")) == COUNT, name="the letters")
        page = browser.new_page()
        signed_in(whole, page)
        # What is the matter, of whom, and why?
        expect(page.get_by_text(f"{COUNT} dead letters", exact=True)).to_be_visible()
        page.get_by_role("link", name="Look at them by cause").click()
        page.get_by_role("link", name="domain not allowed").click()
        page.locator("table a[href^='/events/']").first.click()
        expect(page.get_by_text("Allow the domain if it is yours, then replay.")).to_be_visible()
        expect(page.locator("pre", has_text="partner.example").first).to_be_visible()
        page.get_by_role("link", name="All dead letters of this cause").click()
        # The domain is ours: allow it, and see what a replay would do.
        assert "is allowed for acme" in done(page, "/dead-letters/allow", reason="a new partner")
        page.get_by_role("button", name="Plan a replay of all that is found").click()
        expect(page.get_by_role("heading", name=f"Replay of {COUNT} events")).to_be_visible()
        expect(page.get_by_role("row", name=f"{COUNT} applied")).to_contain_text("invite")
        # In steps, paused, a worker killed, resumed: to the end.
        assert done(page, "/start", reason="partner is allowed", rate="10/s").startswith("Started")
        expect(page.locator("progress")).not_to_have_attribute("value", "0", timeout=30_000)
        assert done(page, "/pause", reason="a look first").startswith("Paused")
        assert done(page, "/resume", reason="it looks right") == "It goes on."
        (row,) = await_true(
            lambda: [one for one in whole.rows(replays) if one["lease_by"]], name="a conductor"
        )
        os.kill(int(row["lease_by"].split(":", 2)[1]), signal.SIGKILL)
        fits = f"{COUNT} events became what the plan said, 0 events something else."
        expect(page.get_by_text(fits)).to_be_visible(timeout=120_000)
        expect(page.locator(".badge.finished")).to_be_visible(timeout=30_000)
        # Who did what, and why.
        page.goto(f"{whole.fleet.url}/audit")
        for told in ("a new partner", "partner is allowed", "a look first", "it looks right"):
            expect(page.get_by_role("cell", name=told, exact=True).first).to_be_visible()
        assert whole.stage.dead("acme") == []
        assert whole.told_twice() == []
        invited = [one for one in whole.rows(rows.people) if one["state"] == "invited"]
        assert len(invited) == COUNT
