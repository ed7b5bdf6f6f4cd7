"""The rules that source text is held to: each takes text or paths and names what breaks it.

Pure functions, so that `test_rules_bite.py` can show each of them a mistake.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = frozenset(
    {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)
# A message that carries its own schedule is redelivered past the visibility timeout of Redis;
# here a retry is a row with a due time.
SCHEDULING = frozenset({"autoretry_for", "countdown", "eta"})
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
# Put together from halves, so that this file does not break its own rule.
MACHINE_TRACES = {
    "a path of one machine": re.compile(r"(?<![\w.~-])/(?:work|opt|farm|root)(?=/|\b(?![\w-]))"),
    "the host of a package registry": re.compile(
        r"pypi\.(?:org|python)|python" + r"hosted\.org|registry\.npmjs|deb\.debian\.org"
        r"|archive\.ubuntu\.com|proxy\.golang\.org|crates\.io",
    ),
    "a tool of the workplace": re.compile(r"farm-" + r"studio|(?<!\w)\.libr" + r"ary(?!\w)"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: where it is, seen from the root, and what it says."""

    path: PurePosixPath
    text: str

    @property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return _parse(self.text)

    @property
    def parts(self) -> tuple[str, ...]:
        """The dotted name, in pieces: folders and the bare file name."""
        return self.path.with_suffix("").parts

    def is_under(self, folder: str) -> bool:
        """Whether the file is somewhere below the folder."""
        return self.path.is_relative_to(folder)

    def at(self, node: ast.AST) -> str:
        """`path:line` of a node."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


Rule = Callable[[Source], list[str]]


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def sources(*folders: str) -> list[Source]:
    """Every Python file below these folders of the repository, sorted."""
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [
        Source(PurePosixPath(path.relative_to(ROOT).as_posix()), path.read_text("utf-8"))
        for path in found
    ]


def functions(source: Source) -> Iterator[FunctionNode]:
    """Every function and method, nested ones included."""
    for node in ast.walk(source.tree):
        if isinstance(node, FunctionNode):
            yield node


def long_file(source: Source) -> list[str]:
    """A file that has outgrown one concept."""
    count = len(source.text.splitlines())
    return [f"{source.path}: {count} lines"] if count > MAX_FILE_LINES else []


def long_functions(source: Source) -> list[str]:
    """Functions that do not fit on a screen.

    Exempt is `worker/adapters/db/`: a set-based statement is one thing said at length, and cut
    into pieces it can no longer be read beside its query plan.
    """
    if source.is_under("worker/adapters/db"):
        return []
    lengths = {
        node: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions(source)
    }
    return [
        f"{source.at(node)}: {node.name} has {length} lines"
        for node, length in lengths.items()
        if length > MAX_FUNCTION_LINES
    ]


def broker_schedules(source: Source) -> list[str]:
    """Retries and delays that would live in the broker and not in a row."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and node.arg in SCHEDULING:
            found.append(f"{source.at(node)}: {node.arg}=")
        elif isinstance(node, ast.Name) and node.id == "autoretry_for":
            found.append(f"{source.at(node)}: autoretry_for")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "retry"
        ):
            found.append(f"{source.at(node)}: .retry(")
    return found


def stray_commits(source: Source) -> list[str]:
    """Commits outside the database adapter.

    A use case ends its unit of work, and names that `work`; it can see no connection.
    """
    if source.is_under("worker/adapters/db"):
        return []
    allowed = {"work.commit"} if source.is_under("worker/services") else set()
    return [
        f"{source.at(node)}: {ast.unparse(node.func)}("
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "commit"
        and ast.unparse(node.func) not in allowed
    ]


def other_clocks(source: Source) -> list[str]:
    """The process's clock in the database adapter, whose schedules follow the database's (F39)."""
    if not source.is_under("worker/adapters/db"):
        return []
    return [
        f"{source.at(node)}: {ast.unparse(node)}"
        for function in ast.walk(source.tree)
        if isinstance(function, FunctionNode) and function.name != "database_now"
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"datetime.now", "datetime.utcnow", "time.time"}
    ]


def silent_module(source: Source) -> list[str]:
    """A module that does not say what lives in it."""
    return [] if ast.get_docstring(source.tree) else [f"{source.path}: no module docstring"]


def silent_definitions(source: Source) -> list[str]:
    """Public classes, functions and methods that do not say what they are or promise."""
    return [
        f"{source.at(node)}: {node.name}"
        for node in _public_definitions(source.tree)
        if not ast.get_docstring(node)
    ]


def _public_definitions(scope: ast.Module | ast.ClassDef) -> Iterator[FunctionNode | ast.ClassDef]:
    for node in scope.body:
        if isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public_definitions(node)


def vague_name(source: Source) -> list[str]:
    """A file or folder whose name says nothing of what is in it."""
    vague = VAGUE_NAMES.intersection(source.parts)
    return [f"{source.path}: {', '.join(sorted(vague))}"] if vague else []


def machine_traces(path: str, text: str) -> list[str]:
    """What only makes sense where the text was written."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match.group()!r}"
        for what, pattern in MACHINE_TRACES.items()
        for match in pattern.finditer(text)
    ]
