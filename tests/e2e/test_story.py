"""The whole story in real processes, with a real mail server and a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.story.__main__ import tell


@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", ["embedded", "postgres"])
def test_the_story_of_all_rules(
    browser: Browser, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    options: tuple[str, ...] = ()
    if database == "postgres":
        options = ("--database-url", str(request.getfixturevalue("postgres_url")))
    told = tell(tmp_path, browser, *options)
    assert len(told.rules) > 25
