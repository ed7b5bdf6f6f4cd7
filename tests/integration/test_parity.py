"""The command line, the API and the table that joins them name the same things."""

from __future__ import annotations

from pathlib import Path

from typer.main import get_command

from tests import parity
from tests.harness import Rosterd
from tests.parity import BESIDES, OWN, ROUTES
from tests.tenants import leaves
from worker.cli.main import build_cli


def operations(rosterd: Rosterd) -> set[str]:
    document = rosterd.http.get("/api/openapi.json").json()
    return {
        f"{method.upper()} {path.removeprefix('/v1')}"
        for path, methods in document["paths"].items()
        for method in methods
    }


def test_each_command_is_an_operation_of_the_api_or_says_why_not() -> None:
    commands = {words for words, _ in leaves(get_command(build_cli()))}
    commands = {words for words in commands if not words.startswith("bench ")}
    assert commands == {*ROUTES, *OWN}
    assert not ROUTES.keys() & OWN.keys()


def test_the_api_has_what_the_table_names_and_nothing_else(rosterd: Rosterd) -> None:
    named = {operation for found in ROUTES.values() for operation in found}
    assert operations(rosterd) == {*named, *BESIDES}


def test_the_table_is_the_generated_one() -> None:
    told = Path("deploy/parity.md").read_text(encoding="utf-8")
    assert told == parity.text(), "python -m tests.parity > deploy/parity.md"
