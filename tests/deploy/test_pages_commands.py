"""The commands of the pages for administrators, run in their order as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fakes.google import key_file
from tests.harness import Rosterd
from worker.adapters.sources.registry import SOURCES
from worker.cli import sender
from worker.cli.sender import Sent

PAGES = Path(__file__).parents[2] / "deploy"
_BLOCK = re.compile(r"^[ ]*```sh\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)


def commands(page: str) -> Iterator[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    for block in _BLOCK.findall(text):
        yield from (line.strip() for line in block.splitlines() if line.strip())


def run(rosterd: Rosterd, line: str) -> None:
    """One line; `>FILE` and `<FILE` are all that a shell does on these pages."""
    command, _, origin = line.partition(" <")
    command, _, target = command.partition(" >")
    words = shlex.split(command)
    if words[0] == "echo":
        Path(target).write_text(words[1] + "\n", encoding="utf-8")
        return
    assert words[0] == "rosterd", line
    typed = Path(origin).read_text(encoding="utf-8") if origin else ""
    done = rosterd.cli(*words[1:], typed=typed)
    # The doctor of a test has no worker, no broker and no mail server to praise.
    allowed = {0, 1} if words[1] == "doctor" else {0}
    assert done.returncode in allowed, (line, done.stdout, done.stderr)
    if target:
        Path(target).write_text(done.stdout, encoding="utf-8")


#: Webhooks of a page of their own, beside those that a page of `directories` tells of.
HOOKS = (
    *("auth0", "clerk", "fusionauth", "onelogin", "pingone"),
    *("polis", "scalekit", "set", "standard", "workos", "zitadel"),
)
PROVIDERS = ("authentik", "entra", "jumpcloud", "okta", "onelogin", "rippling")


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("best-practices.md", 11),
        ("migrate.md", 11),
        *((f"scim/{one}.md", 4) for one in PROVIDERS),
        *((f"directories/{one}.md", 4) for one in ("entra", "google", "keycloak", "okta")),
        *((f"sources/{one}.md", 4) for one in HOOKS),
    ],
)
def test_every_command_of_the_page_does_what_the_page_says(
    page: str, least: int, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # What an administrator downloads cannot be typed.
    told = key_file("rosterd@example.com", "https://oauth2.googleapis.com/token")
    (tmp_path / "google-key.json").write_text(told, encoding="utf-8")
    rosterd = Rosterd(sqlite_url, tmp_path)

    def send(request: Sent, **_: float) -> int:
        """As through the front door, with a worker behind it."""
        status = rosterd.post(replace(request, url=urlsplit(request.url).path))
        rosterd.drain()
        return status

    monkeypatch.setattr(sender, "send", send)
    with rosterd.serving():
        lines = list(commands(page))
        assert len(lines) >= least
        for line in lines:
            run(rosterd, line)
    rosterd.close()


def test_every_webhook_has_its_page() -> None:
    """With what it says and what to do; and whoever looks for it finds it."""
    listed = (PAGES / "sources/README.md").read_text(encoding="utf-8")
    for name in SOURCES.keys() - {"scim"}:
        found = [f"{folder}/{name}.md" for folder in ("sources", "directories")]
        pages = [PAGES / one for one in found if (PAGES / one).is_file()]
        assert pages, f"no page tells how {name} is set up"
        assert any(f"{page.name})" in listed for page in pages), name
        assert any("| it says | do |" in page.read_text(encoding="utf-8") for page in pages), name
