"""`python -m tests.gallery FOLDER`: the console's pages, light and dark, narrow and wide.

Of a rosterd that has a bad night: a domain that nobody allowed, a provider that suspends many at
once, a paused connection. What the README shows is made by this.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browsing import program, running
from tests.servers import await_true
from tests.story.town import Town, town

SIZES = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
FIRST = ("Ana", "Ben", "Chi", "Dora", "Emil", "Fatima", "Gita", "Hugo", "Ines", "Jun", "Kofi")
LAST = ("Silva", "Okafor", "Novak", "Haddad", "Meyer", "Tanaka", "Costa", "Lindqvist")
TEAMS = ("Engineering", "Finance", "Field sales", "Support")


def night(here: Town) -> None:
    """What has happened by three in the morning."""
    here.opens_account("acme", "--owner", "olga@acme.example", "--domain", "acme.example")
    here.opens_account("globex", "--owner", "omar@globex.example", "--domain", "globex.example")
    acme = here.connects("acme", "acme-okta", "--set", "breaker_min=4")
    globex = here.connects("globex", "globex-idp")
    chance = random.Random(7)
    for number, team in enumerate(TEAMS):
        acme.standard("group.upserted", {"id": f"g{number}", "name": team})
    for number, (first, last) in enumerate(itertools.product(FIRST, LAST)):
        domain = "acme.example" if number % 7 else "partner.example"
        told = {"given_name": first, "family_name": last, "display_name": f"{first} {last}"}
        email = f"{first}.{last}@{domain}".lower()
        acme.standard("user.upserted", {"id": f"u{number}", "email": email, **told})
        group = f"g{chance.randrange(len(TEAMS))}"
        acme.standard("group.member_added", {"group_id": group, "user_id": f"u{number}"})
    for number in range(9):
        globex.standard("user.upserted", {"id": f"x{number}", "email": f"x{number}@globex.example"})
    globex.standard("user.upserted", {"id": "x9"})
    for number in range(20, 60):
        acme.standard("user.suspended", {"id": f"u{number}"})
    acme.standard("user.email_changed", {"id": "u10", "email": "ben.new@acme.example"})
    await_true(lambda: here.asks("hold", "list"), name="what is held")
    here.types("connection", "pause", "globex-idp", "--reason", "their IdP is being moved")


def pages(here: Town) -> dict[str, str]:
    """Path of each page by its name."""
    dead = here.asks("dead", "list")[0]
    (hold,) = here.asks("hold", "list")
    (connection,) = here.asks("connection", "show", "acme-okta")
    person = here.person("acme", external_id="u10")
    assert person is not None
    return {
        "now": "/",
        "events": "/events",
        "event": f"/events/{dead['id']}",
        "people": "/people",
        "person": f"/people/{person['id']}",
        "groups": "/groups",
        "dead-letters": "/dead-letters",
        "letters": "/dead-letters/list",
        "holds": "/holds",
        "hold": f"/holds/{hold['id']}",
        "connections": "/connections",
        "connection": f"/connections/{connection['id']}",
        "reading": f"/connections/{connection['id']}/reading",
        "replays": "/replays",
        "audit": "/audit",
    }


def enter(here: Town, page: Page) -> None:
    """By a one-time link."""
    said = here.types("operator", "link", "eve@acme.example", "--reason", "on call").stdout
    found = re.search(r"https?://\S+/sign-in/\S+", said.replace("\n", ""))
    assert found is not None, said
    page.goto(found.group(0))
    page.get_by_role("button").first.click()
    page.wait_for_url(f"{here.url}/")


def pictures(here: Town, browser: Browser, folder: Path) -> Iterator[Path]:
    """Each page in each theme and width."""
    here.types("operator", "add", "eve@acme.example", "--role", "admin", "--reason", "on call")
    shown = pages(here)
    for scheme, (size, window) in itertools.product(SCHEMES, SIZES.items()):
        context = browser.new_context(viewport=_size(window), color_scheme=_scheme(scheme))
        page = context.new_page()
        enter(here, page)
        if "replay" not in shown:
            shown |= planned(here, page)
        for name, path in shown.items():
            page.goto(here.url + path)
            file = folder / f"{name}-{scheme}-{size}.png"
            page.screenshot(path=file, full_page=size == "narrow")
            yield file
        context.close()


def planned(here: Town, page: Page) -> dict[str, str]:
    """The page of a replay that is planned, and of a cause of dead letters."""
    page.goto(f"{here.url}/dead-letters")
    page.get_by_role("link", name="domain not allowed").click()
    cause = page.url.removeprefix(here.url)
    page.goto(f"{here.url}/dead-letters/list?reason=domain_not_allowed")
    page.get_by_role("button", name="Plan a replay of all that is found").click()
    page.get_by_role("heading", name=re.compile("Replay of")).wait_for()
    time.sleep(2)
    return {"cause": cause, "replay": page.url.removeprefix(here.url)}


def _size(window: dict[str, int]) -> Any:
    return window


def _scheme(name: str) -> Any:
    return name


def main() -> None:
    """Draw them with the Chromium of this machine."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else sys.exit("python -m tests.gallery FOLDER"))
    if program() is None:
        sys.exit("there is no chromium to start")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        running() as browser,
        town(Path(scratch), browser) as here,
    ):
        night(here)
        for file in pictures(here, browser, folder):
            sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
