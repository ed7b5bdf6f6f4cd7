"""`python -m tests.story [--database-url URL]`: the story and its timeline."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.browsing import program, running
from tests.story import connections, groups, operators, people
from tests.story.timeline import Timeline
from tests.story.town import Town, town

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
    if program() is None:
        sys.exit("there is no chromium to start")
    with tempfile.TemporaryDirectory() as folder, running() as browser:
        told = tell(Path(folder), browser, *sys.argv[1:])
    sys.stdout.write(f"\n{len(told.rules)} rules: {', '.join(sorted(told.rules))}\n")


if __name__ == "__main__":
    main()
