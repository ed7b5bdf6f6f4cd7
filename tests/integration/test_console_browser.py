"""The console in a real browser: by axe, in both themes, narrow, by keyboard, without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browsing import faults, judging, views
from tests.console import Operator, hosted, window
from tests.harness import Rosterd
from tests.integration.test_console import (
    event_of,
    group_ref_of,
    lived_in,
    person_of,
    swept,
)
from tests.integration.test_console_dead import group_path, planned, unq
from worker.adapters.db.breaker_rows import holds

NARROW, WIDE = 360, 1280
SIZE: Any = {"width": WIDE, "height": 900}


@pytest.fixture
def rosterd(sqlite_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    rosterd = Rosterd(sqlite_url, tmp_path)
    with rosterd.serving():
        yield rosterd
    rosterd.close()


@pytest.fixture
def host(rosterd: Rosterd) -> Iterator[str]:
    """Where a browser finds it, streams included."""
    with hosted(rosterd) as address:
        yield address


def every_page(rosterd: Rosterd, root: Operator) -> list[str]:
    """The address of each kind of page, with something on it."""
    feed = lived_in(rosterd)
    (hold,) = rosterd.table(holds)
    event = rosterd.dead()[0]["event_id"]
    return [
        *("/", "/?span=day", "/events", "/events?subject=nobody", f"/events/{event}"),
        *("/people", f"/people/{person_of(rosterd, 'u1')}", "/groups"),
        group_ref_of(root.page("/groups"), "Crew & Co"),
        *("/holds", f"/holds/{hold['id']}", "/connections", "/connections/new"),
        *(f"/connections/{feed.connection}", f"/connections/{feed.connection}/retire"),
        f"/connections/{feed.connection}/reading",
        f"/events/{event}/edit",
        *("/dead-letters", group_path(rosterd), "/dead-letters/list?reason=domain_not_allowed"),
        *("/replays", f"/replays/{planned(rosterd, root, unq(group_path(rosterd)))}"),
        *("/audit?which=all", "/nowhere", "/events?state=odd"),
    ]


#: Boxes and the page itself that are wider than their place, but for what the keyboard can scroll;
#: words that anybody would leave whole, and that go on in the next line all the same.
MISPLACED = """() => {
    document.querySelectorAll('details').forEach((one) => { one.open = true; });
    const found = [document.documentElement, ...document.querySelectorAll('main *')]
        .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1)
        .filter(one => one.tabIndex < 0)
        .filter(one => one === document.documentElement
            || getComputedStyle(one).overflowX !== 'visible')
        .map(one => `${one.tagName}.${one.className} ${one.scrollWidth} > ${one.clientWidth}`);
    const walker = document.createTreeWalker(document.querySelector('main'), 4);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (!(node.parentElement.offsetWidth > 1) || node.parentElement.closest('thead')) continue;
        for (const word of node.data.matchAll(/(?<=^|\\s)[A-Za-z]{3,14}(?=\\s|$)/g)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map(one => one.top)).size > 1)
                found.push(word[0]);
        }
    }
    return found;
}"""


def refusals(page: Page) -> list[str]:
    """What the policy of its pages refuses from now on."""
    refused: list[str] = []

    def note(said: ConsoleMessage) -> None:
        if "Content" in said.text:
            refused.append(said.text)

    page.on("console", note)
    return refused


#: What comes by the stream would close what is open, and be judged half replaced.
HELD = """window.EventSource = class extends EventSource {
    constructor(url) {
        super(url);
        const heard = (how) => new Promise((done) => this.addEventListener(how, done));
        window.hasAnswered = Promise.race([heard('open'), heard('error')]);
    }
    set onmessage(_) {}
};"""


def test_every_page_keeps_wcag_aa_narrow_and_wide(
    rosterd: Rosterd, host: str, browser: Browser
) -> None:
    root = Operator(rosterd)
    paths = every_page(rosterd, root)
    with window(host, browser, root, viewport=SIZE) as page:
        refused = refusals(judging(page))
        page.add_init_script(HELD)
        for path in paths:
            page.goto(path)
            page.evaluate("window.hasAnswered")
            assert faults(page, NARROW, WIDE, also=MISPLACED) == [], path
            assert refused == [], path


LONG = "Kraftfahrzeughaftpflicht" * 7


def of_long_names(rosterd: Rosterd, root: Operator) -> list[str]:
    """Each kind of page, of an account, people and groups whose names have no blank in them."""
    paths = every_page(rosterd, root)
    first = rosterd.account_id
    feed = rosterd.account(name=LONG[:100])
    email = f"{LONG[:60]}@example.com".lower()
    attributes = {LONG[:90]: LONG}
    rosterd.hire(feed, LONG[:100], email, display_name=LONG, attributes=attributes)
    rosterd.hire(feed, f"2{LONG[:100]}", f"{LONG[:60]}@{LONG[:60]}.example".lower())
    rosterd.tell(feed, "group.upserted", {"id": LONG, "name": LONG})
    rosterd.tell(feed, "group.member_added", {"group_id": LONG, "user_id": LONG[:100]})
    rosterd.tell(feed, f"{LONG}", {"id": LONG[:100]})
    rosterd.accept(email)
    rosterd.tell(feed, "user.email_changed", {"id": LONG[:100], "email": f"2{email[1:]}"})
    swept(rosterd)
    groups = f"/groups?account={rosterd.account_id}"
    person = person_of(rosterd, LONG[:100])
    own = rosterd.cli("group", "add", "--account", LONG[:100], LONG[:100], "--reason", LONG)
    assert own.returncode == 0, own.stderr
    dead = event_of(rosterd, subject=f"2{LONG[:100]}")
    rosterd.cli("connection", "pause", feed.connection, "--reason", LONG)
    rosterd.parts.gauges._known = None
    return [
        *(path for path in paths if path != "/groups"),
        *(f"/groups?account={first}", groups, f"/people/{person}", f"/events/{dead}"),
        *(f"/people?account={rosterd.account_id}", f"/connections/{feed.connection}"),
        *re.findall(r'href="(/groups/(?:idp|grp)_[^"?]+)"', root.page(groups)),
        f"/events/{event_of(rosterd, subject=LONG[:100])}",
    ]


def test_names_without_a_blank_push_nothing_out_and_short_words_stay_whole(
    rosterd: Rosterd, host: str, browser: Browser
) -> None:
    root = Operator(rosterd)
    paths = of_long_names(rosterd, root)
    found: list[tuple[str, str, str]] = []
    with window(host, browser, root, viewport=SIZE) as page:
        for path in paths:
            page.goto(path)
            for view in views(page, ["light"], NARROW, WIDE):
                found += [(path, view, one) for one in page.evaluate(MISPLACED)]
    assert found == []


def test_the_policy_lets_our_own_script_and_style_work_and_nothing_else(
    rosterd: Rosterd, host: str, browser: Browser
) -> None:
    with window(host, browser, Operator(rosterd)) as page:
        refused = refusals(page)
        page.goto("/")
        expect(page.locator("#live")).to_have_text("live")
        background = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(background) != "rgba(0, 0, 0, 0)", "the style sheet is there"
        assert refused == []
        page.evaluate(INLINE)
        assert page.evaluate("window.isOpen") is None
        assert len(refused) == 2


#: A script and a style sheet that somebody smuggled into a page.
INLINE = """() => {
    document.body.append(Object.assign(document.createElement('script'),
        { textContent: 'window.isOpen = true' }));
    document.body.append(Object.assign(document.createElement('style'),
        { textContent: 'body { background: transparent }' }));
}"""


def test_a_theme_is_chosen_and_kept(rosterd: Rosterd, host: str, browser: Browser) -> None:
    with window(host, browser, Operator(rosterd), color_scheme="light") as page:
        page.goto("/events")
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.get_by_role("button", name="Dark").click()
        page.wait_for_url("**/events")
        expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
        assert page.evaluate(background) != light


def test_without_a_script_and_by_keyboard_alone_a_hold_is_approved(
    rosterd: Rosterd, host: str, browser: Browser
) -> None:
    lived_in(rosterd)
    ana = Operator(rosterd, "operator")
    with window(host, browser, ana, java_script_enabled=False) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        expect(focused).to_have_text("Skip to content")
        # It shows when it has the focus; it moves there.
        expect(focused).to_be_in_viewport(ratio=1)
        page.keyboard.press("Enter")
        for name in ("Look at the hold", "acme, standard", "It is meant: approve it"):
            _tab_to(page, name)
            page.keyboard.press("Enter")
        _tab_to(page, "")  # the field for the reason
        page.keyboard.type("they all left")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Approved: 1 events go on.")
        page.reload()
        assert page.locator("text=Approved: 1 events go on.").count() == 0, "it is said once"
        assert "approved by operator:operator@example.com" in page.content()


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what bears the name; a field where it is empty."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if name == "" and focused.count() and focused.get_attribute("name") == "reason":
            return
        if name and focused.count() and re.fullmatch(re.escape(name), focused.inner_text().strip()):
            box = focused.bounding_box()
            assert box is not None
            return
    pytest.fail(f"no Tab leads to {name!r}")


def test_the_live_part_is_replaced_and_keeps_what_is_open_and_focused(
    rosterd: Rosterd, host: str, browser: Browser
) -> None:
    lived_in(rosterd)
    with window(host, browser, Operator(rosterd)) as page:
        page.add_init_script(
            "window.EventSource = class { constructor(url) { window.stream = this;"
            " this.url = url; } };"
        )
        page.goto("/")
        page.get_by_text("The charts as a table").click()
        page.get_by_role("link", name="Last day").focus()
        assert page.evaluate("window.stream.url").startswith("/status/stream")
        page.evaluate(
            "window.stream.onmessage({data: document.querySelector('[data-live]').innerHTML"
            ".replace('Needs you', 'Needs somebody').replace(' open=\"\"', '')})"
        )
        expect(page.get_by_text("Needs somebody")).to_be_visible()
        expect(page.locator("#live")).to_have_text("live")
        expect(page.get_by_role("link", name="Last day")).to_be_focused()
        assert page.evaluate("document.getElementById('as-table').open")
        page.evaluate("window.stream.onerror()")
        expect(page.locator("#live")).to_have_text("connection lost, these figures are old")


def test_what_comes_in_shows_by_itself(rosterd: Rosterd, host: str, browser: Browser) -> None:
    feed = rosterd.account()
    root = Operator(rosterd)
    with window(host, browser, root) as page:
        page.goto(f"/connections/{feed.connection}")
        expect(page.locator("#live")).to_have_text("live")
        expect(page.get_by_text("Waiting for the first event")).to_be_visible()
        rosterd.hire(feed, "u1")
        expect(page.get_by_text("The provider speaks")).to_be_visible()
        page.goto("/events?subject=u2")
        expect(page.get_by_text("No event fits")).to_be_visible()
        rosterd.hire(feed, "u2")
        expect(page.get_by_role("cell", name="u2", exact=True)).to_be_visible()
