"""`python -m tests.story [--database-url URL]`: the story and its timeline."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.story import connections, groups, operators, people
from tests.story.timeline import Timeline
from tests.story.town import Town, town

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

CHAPTERS = (
    *(people.hire, people.move, people.leave, groups.protect),
    *(operators.listen, operators.refuse, operators.override, operators.delete),
    *(operators.observe, operators.belong),
    *(connections.keep, connections.enter, connections.limit, connections.end),
)


def tell(folder: Path, browser: Browser, *options: str) -> Timeline:
    """All chapters, one after the other, in one rosterd; raises where a promise is not kept."""
    folder.mkdir(exist_ok=True)
    with town(folder, browser, *options) as here:
        told = Timeline()
        _begin(here, told)
        for chapter in CHAPTERS:
            chapter(here, told)
        return told


def _begin(here: Town, told: Timeline) -> None:
    told.chapter("An account, its owner, its identity provider")
    here.opens_account("acme", "--owner", "olga@example.com", "--domain", "example.com")
    here.connects("acme", "acme-idp")
    here.clicks("olga@example.com")
    told.so("U2", "the owner accepts", lambda: here.person("acme", email="olga@example.com"))


def main() -> None:
    """Tell it in a scratch folder with the Chromium of this machine."""
    found = shutil.which("chromium") or sys.exit("there is no chromium to start")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        told = tell(Path(folder), browser, *sys.argv[1:])
        browser.close()
    sys.stdout.write(f"\n{len(told.rules)} rules: {', '.join(sorted(told.rules))}\n")


if __name__ == "__main__":
    main()
