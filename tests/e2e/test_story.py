"""The whole story in real processes, with a real mail server and a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.story.__main__ import tell


@pytest.mark.timeout(240)
def test_the_story_of_all_rules(browser: Browser, tmp_path: Path, database_url: str) -> None:
    is_embedded = database_url.startswith("sqlite")
    options = () if is_embedded else ("--database-url", database_url)
    told = tell(tmp_path / "story", browser, *options)
    assert len(told.rules) > 25
