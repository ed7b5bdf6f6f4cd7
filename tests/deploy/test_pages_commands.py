"""The commands of the pages for administrators, run in their order as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Rosterd

PAGES = Path(__file__).parents[2] / "deploy"
_BLOCK = re.compile(r"^[ ]*```sh\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)


def commands(page: str) -> Iterator[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    for block in _BLOCK.findall(text):
        yield from (line.strip() for line in block.splitlines() if line.strip())


def run(rosterd: Rosterd, line: str) -> None:
    """One line; `>FILE` is all that a shell does on these pages."""
    command, _, target = line.partition(" >")
    words = shlex.split(command)
    if words[0] == "echo":
        Path(target).write_text(words[1] + "\n", encoding="utf-8")
        return
    assert words[0] == "rosterd", line
    done = rosterd.cli(*words[1:])
    # The doctor of a test has no worker, no broker and no mail server to praise.
    allowed = {0, 1} if words[1] == "doctor" else {0}
    assert done.returncode in allowed, (line, done.stdout, done.stderr)
    if target:
        Path(target).write_text(done.stdout, encoding="utf-8")


PROVIDERS = ("authentik", "entra", "jumpcloud", "okta", "onelogin", "rippling")


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("best-practices.md", 11),
        ("migrate.md", 11),
        *((f"scim/{one}.md", 4) for one in PROVIDERS),
        *((f"directories/{one}.md", 4) for one in ("keycloak", "okta")),
    ],
)
def test_every_command_of_the_page_does_what_the_page_says(
    page: str, least: int, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rosterd = Rosterd(sqlite_url, tmp_path)
    with rosterd.serving():
        lines = list(commands(page))
        assert len(lines) >= least
        for line in lines:
            run(rosterd, line)
    rosterd.close()
