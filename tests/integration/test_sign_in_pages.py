"""The pages around signing in, in a real browser: by axe (WCAG AA), narrow and wide, scriptless."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browsing import faults, judging
from tests.harness import Rosterd
from tests.integration.test_accessible import HOST, PHONE, answered_by
from tests.integration.test_accessible import rosterd as rosterd  # noqa: PLC0414 - its fixture

NARROW, WIDE = 360, 1280
EVE = "eve@example.com"
PASSWORD = "correct horse battery"


def furnished(rosterd: Rosterd) -> None:
    """An admin with a password, who is signed in elsewhere, too; a colleague."""
    rosterd.operator(EVE, "admin")
    rosterd.cli("operator", "password", EVE, typed=PASSWORD)
    rosterd.session(EVE)
    rosterd.session(rosterd.operator("a.colleague.with.a.long.name@subsidiary.example.com"))


def test_the_pages_keep_wcag_aa(rosterd: Rosterd, browser: Browser) -> None:
    furnished(rosterd)
    context = browser.new_context()
    page = judging(answered_by(rosterd, context).new_page())

    def look(title: str) -> None:
        assert page.title() == f"{title} · rosterd"
        assert faults(page, NARROW, WIDE) == []

    page.goto(f"{HOST}/sessions")
    look("Sign in")
    page.get_by_label("E-mail address").fill(EVE)
    page.get_by_label("Password").fill("a wrong password")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("[role=alert]")
    look("Sign in")
    assert page.get_by_label("E-mail address").input_value() == EVE
    page.goto(f"{HOST}/sign-in/nonsense")
    look("This link is no longer good")
    link = f"/sign-in/{rosterd.sign_in_link(EVE)}"
    page.goto(f"{HOST}{link}")
    look("Sign in")
    # Pressed here it would lead on to a page whose stream this client would read for ever.
    rosterd.http.post(link)
    page.goto(f"{HOST}/sessions")
    look("Sessions")
    page.goto(f"{HOST}/sign-out")
    look("Sign out")
    page.goto(f"{HOST}/sign-in/openid")
    look("Not done")
    context.close()


@pytest.mark.parametrize("way", ["tap", "keyboard"])
def test_one_signs_in_and_out_without_javascript(
    rosterd: Rosterd, browser: Browser, way: str
) -> None:
    furnished(rosterd)
    phone: dict[str, Any] = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    context = browser.new_context(java_script_enabled=False, **phone)
    page = answered_by(rosterd, context).new_page()
    page.goto(f"{HOST}/sign-in?next=/sign-out")
    page.get_by_label("E-mail address").fill(EVE)
    page.get_by_label("Password").fill(PASSWORD)
    button = page.get_by_role("button", name="Sign in")
    size = button.bounding_box()
    assert size is not None
    assert size["height"] >= 44, "a finger hits it"
    if way == "tap":
        button.tap()
    else:
        page.keyboard.press("Enter")
    page.wait_for_selector(f"text=You are signed in as operator:{EVE}")
    out = page.get_by_role("button", name="Sign out")
    if way == "tap":
        out.tap()
    else:
        out.focus()
        page.keyboard.press("Enter")
    page.wait_for_selector("h1:text('Sign in')")
    assert rosterd.http.get("/", follow_redirects=False).status_code == 303
    context.close()
