"""Which test names which rule, and on which databases: `python -m tests.rules` prints the table."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: Every rule of the directory, by its id.
DIRECTORY = (
    *(f"S{number}" for number in range(1, 5)),
    *(f"U{number}" for number in range(1, 11)),
    *(f"G{number}" for number in range(1, 8)),
    *(f"E{number}" for number in range(1, 10)),
    *(f"C{number}" for number in range(1, 9)),
)
#: What only a later part brings, or nothing does: why no test need name it yet.
LATER = {
    "C8": "single sign-on is out of scope",
}
#: Rules that this version keeps, and guarantees that no other table insists on.
KEPT = (*(rule for rule in DIRECTORY if rule not in LATER), "guarantee G8")
_ID = re.compile(r"(?:^|_)([a-z]\d+)(?=_)")
#: Groups' rules and the guarantees share their letter: a G in one of these is a guarantee.
_OF_GUARANTEES = frozenset(
    {
        "test_again.py",
        "test_chaos.py",
        "test_convergence.py",
        "test_convergence_on_databases.py",
        "test_deliveries.py",
        "test_drain.py",
        "test_drain_work.py",
        "test_processes.py",
        "test_replay.py",
    }
)
_DATABASES = {"sqlite_url": "SQLite", "postgres_url": "PostgreSQL"}


def ids(name: str, file: str) -> Iterator[str]:
    """The ids that a test's name bears; guarantees as `guarantee G2`."""
    for found in _ID.findall(name.removeprefix("test")):
        rule = found.upper()
        yield f"guarantee {rule}" if rule[0] == "G" and file in _OF_GUARANTEES else rule


def named() -> dict[str, list[str]]:
    """Tests by the ids in their names."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(HERE.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for rule in ids(node.name, path.name):
                    found[rule].append(f"{path.name}::{node.name}")
    return found


@dataclass
class _Collected:
    """A plugin of pytest's that keeps what would be run."""

    items: list[pytest.Item]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items


def collected() -> list[pytest.Item]:
    """Every test with its parameters, none of them run."""
    plugin = _Collected([])
    with redirect_stdout(StringIO()):
        pytest.main([str(HERE), "--collect-only", "-q", "-p", "no:cacheprovider"], plugins=[plugin])
    return plugin.items


def databases(item: pytest.Item) -> set[str]:
    """On which databases a test runs; none where it needs no database."""
    asked = set(getattr(item, "fixturenames", ()))
    chosen = getattr(item, "callspec", None)
    if chosen is not None and "database_url" in chosen.params:
        asked.add(f"{chosen.params['database_url']}_url")
    found = {name for fixture, name in _DATABASES.items() if fixture in asked}
    return found or ({"PostgreSQL"} if "chaos" in item.nodeid or "e2e" in item.nodeid else set())


def table() -> str:
    """Markdown: each rule of the directory, its tests and the databases that they run on."""
    tests: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in collected():
        name = item.nodeid.partition("[")[0].rpartition("::")[2]
        for rule in ids(name, item.path.name):
            tests[rule][f"`{item.path.name}::{name}`"] |= databases(item)
    lines = ["| rule | tests | databases |", "|---|---|---|"]
    for rule in (*DIRECTORY, *sorted(set(tests) - set(DIRECTORY))):
        on = sorted(set().union(*tests[rule].values()))
        told = "<br>".join(sorted(tests[rule])) or LATER.get(rule, "none")
        lines.append(f"| {rule} | {told} | {', '.join(on)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    sys.stdout.write(table() + "\n")


if __name__ == "__main__":
    main()
