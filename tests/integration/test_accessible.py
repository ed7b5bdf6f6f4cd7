"""Pages and mails in a real browser: on a phone, without JavaScript, and by axe (WCAG AA)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route

from domain.consequences import NoticeKind
from tests.harness import Rosterd

HOST = "http://directory.test"
PHONE: Any = {"width": 360, "height": 640}
#: WCAG 2.2 AA and what axe holds for good practice beside it.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SCHEMES = ("light", "dark")


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


def violations(page: Page) -> list[str]:
    """What axe finds, by rule and place."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


def is_wider_than_its_window(page: Page) -> bool:
    root = "document.documentElement"
    return bool(page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))


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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_members_pages_keep_wcag_aa(rosterd: Rosterd, browser: Browser, scheme: Any) -> None:
    link, change = invited(rosterd)
    # The pages allow no script at all; axe is one.
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, bypass_csp=True)
    page = answered_by(rosterd, context).new_page()
    for path, title in (
        (link, "Join Acme & Söhne International Holding"),
        (change, "Confirm your new address"),
        ("/invitations/nonsense", "This link does not work"),
    ):
        page.goto(HOST + path)
        assert page.title() == title
        assert violations(page) == []
        assert not is_wider_than_its_window(page)
        if path != "/invitations/nonsense":
            page.get_by_role("button").click()
            page.wait_for_selector("[role=status]")
            assert violations(page) == []
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_mails_keep_wcag_aa_narrow_and_wide(
    rosterd: Rosterd, browser: Browser, scheme: Any
) -> None:
    invited(rosterd)
    for kind in NoticeKind:
        of = ("mail", "preview", kind.value, "--account", "Acme & Söhne International Holding")
        html = rosterd.json(*of)["html"]
        for width in (320, 1280):
            size: Any = {"width": width, "height": 600}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.set_content(html)
            assert violations(page) == [], (kind, width)
            assert not is_wider_than_its_window(page), (kind, width)
            page.close()
