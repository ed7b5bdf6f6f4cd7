"""`rosterd --help` tells of commands without loading them: what it tells must be theirs."""

from __future__ import annotations

import pytest
import typer
from typer.main import get_command

from worker.cli.main import build_cli


def lines(app: typer.Typer) -> dict[str, str]:
    """Commands with the first paragraph of their help."""
    found = get_command(app).commands  # type: ignore[attr-defined]
    return {
        name: " ".join((command.help or "").split("\n\n")[0].split())
        for name, command in found.items()
    }


def test_the_list_is_that_of_the_commands_themselves() -> None:
    assert lines(build_cli("--help")) == lines(build_cli())


@pytest.mark.parametrize("word", ["up", "restore", "account"])
def test_a_word_brings_its_command_along(word: str) -> None:
    found = get_command(build_cli(word)).commands  # type: ignore[attr-defined]
    assert word in found
    assert "feed" not in found
