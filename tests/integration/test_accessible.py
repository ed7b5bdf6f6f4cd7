"""Pages and mails in a real browser: on a phone, without JavaScript, and by axe (WCAG AA)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Route

from domain.consequences import NoticeKind
from tests.browsing import faults, judging
from tests.harness import Rosterd

HOST = "http://directory.test"
PHONE: Any = {"width": 360, "height": 640}


@pytest.fixture
def rosterd(sqlite_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    rosterd = Rosterd(sqlite_url, tmp_path)
    with rosterd.serving():
        yield rosterd
    rosterd.close()


def answered_by(rosterd: Rosterd, context: BrowserContext) -> BrowserContext:
    """A browser whose every request goes to this rosterd; there is no other network."""

    def answer(route: Route) -> None:
        asked = route.request
        path = asked.url.removeprefix(HOST)
        told = rosterd.http.request(asked.method, path, content=asked.post_data_buffer)
        route.fulfill(status=told.status_code, headers=dict(told.headers), body=told.content)

    context.route("**/*", answer)
    return context


def invited(rosterd: Rosterd) -> tuple[str, str]:
    """A link to accept an invitation, and one to confirm a change of address."""
    feed = rosterd.account(name="Acme & Söhne International Holding")
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    longest = f"a.rather.long.name.that.does.not.fit.{'x' * 20}@example.com"
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": longest})
    change = rosterd.link(longest)
    rosterd.hire(feed, "u2")
    return rosterd.link("u2@example.com"), change


@pytest.mark.parametrize("way", ["tap", "keyboard"])
def test_u2_an_invitation_is_accepted_on_a_phone_without_javascript(
    rosterd: Rosterd, browser: Browser, way: str
) -> None:
    link, _ = invited(rosterd)
    phone: dict[str, Any] = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    context = browser.new_context(java_script_enabled=False, **phone)
    page = answered_by(rosterd, context).new_page()
    page.goto(HOST + link)
    assert rosterd.user("u2")["state"] == "invited"  # type: ignore[index]
    button = page.get_by_role("button", name="Accept the invitation")
    size = button.bounding_box()
    assert size is not None
    assert size["height"] >= 44, "a finger hits it"
    if way == "tap":
        button.tap()
    else:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    page.wait_for_selector("text=The invitation is accepted")
    assert rosterd.user("u2")["state"] == "active"  # type: ignore[index]
    page.reload()
    page.wait_for_selector("text=The invitation is accepted")
    page.goto(HOST + link)
    assert page.title() == "This link does not work"
    context.close()


def test_members_pages_keep_wcag_aa(rosterd: Rosterd, browser: Browser) -> None:
    link, change = invited(rosterd)
    context = browser.new_context(viewport=PHONE)
    page = judging(answered_by(rosterd, context).new_page())
    for path, title in (
        (link, "Join Acme & Söhne International Holding"),
        (change, "Confirm your new address"),
        ("/invitations/nonsense", "This link does not work"),
    ):
        page.goto(HOST + path)
        assert page.title() == title
        assert faults(page, PHONE["width"]) == []
        if path != "/invitations/nonsense":
            page.get_by_role("button").click()
            page.wait_for_selector("[role=status]")
            assert faults(page, PHONE["width"]) == []
    context.close()


def test_mails_keep_wcag_aa_narrow_and_wide(rosterd: Rosterd, browser: Browser) -> None:
    invited(rosterd)
    page = judging(browser.new_page())
    for kind in NoticeKind:
        of = ("mail", "preview", kind.value, "--account", "Acme & Söhne International Holding")
        page.set_content(rosterd.json(*of)["html"])
        assert faults(page, 320, 1280) == [], kind


#: By its view, what is wrong there only.
WRONG = """<!doctype html><html lang="en"><head><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"><title>Wrong</title><style>
body { color: #111; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #111 } }
@media (prefers-color-scheme: dark) and (max-width: 400px) { #pale { color: #555 } }
@media (prefers-color-scheme: light) and (min-width: 401px) { #pale { color: #aaa } }
@media (prefers-color-scheme: dark) and (min-width: 401px) { main { width: 2000px } }
#unnamed { display: none }
@media (max-width: 400px) { #unnamed { display: block } }
</style></head><body><main><h1>Wrong</h1><p id="pale">Pale</p><input id="unnamed"></main></body>"""


def test_what_is_wrong_in_one_view_only_is_found(browser: Browser) -> None:
    page = judging(browser.new_page())
    page.set_content(WRONG)
    assert [found.partition("<")[0].strip() for found in faults(page, 320, 1280)] == [
        "light, 320: label:",
        "light, 1280: color-contrast:",
        "dark, 1280: 2008 px wide",
        "dark, 320: color-contrast:",
    ]
