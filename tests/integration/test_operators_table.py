"""The table of what operators want names pages, commands, operations and tests that there are."""

from __future__ import annotations

from pathlib import Path

from typer.main import get_command

from tests import operators
from tests.failure_modes import existing
from tests.harness import Rosterd
from tests.integration.test_parity import operations
from tests.operators import ASKED, FEATURES
from tests.tenants import leaves
from worker.cli.main import build_cli
from worker.web.console import routes

ROWS = (*FEATURES.values(), *ASKED.values())


def test_each_row_names_a_test_that_there_is() -> None:
    there = existing()
    for title, row in {**FEATURES, **ASKED}.items():
        assert row.tests, title
        assert set(row.tests) <= there.keys(), title


def test_each_command_and_page_that_is_named_exists(rosterd: Rosterd) -> None:
    commands = {words for words, _ in leaves(get_command(build_cli()))}
    assert {name for row in ROWS for name in row.commands} <= commands
    pages = {route.path for route in routes(rosterd.parts)}
    assert {name for row in ROWS for name in row.pages} <= pages


def test_each_operation_that_is_named_exists(rosterd: Rosterd) -> None:
    assert {name for row in ROWS for name in row.operations} <= operations(rosterd)


def test_the_table_is_the_generated_one() -> None:
    told = Path("deploy/operators.md").read_text(encoding="utf-8")
    assert told == operators.text(), "python -m tests.operators > deploy/operators.md"
