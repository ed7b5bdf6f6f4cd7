"""How the command line speaks: tables for people, JSON for programs, one line for errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from domain.display import with_escapes

AsJSON = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. A script is not asked.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen, do nothing.")]


class Terminal(Console):
    """Shows text as it is: what a stranger named something is no markup and steers no terminal."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, highlight=False, markup=False)
        if not self.is_terminal:
            # Nobody's screen: what is searched for in a listing must not be folded.
            self.width = 1_000

    def print(self, *objects: Any, **more: Any) -> None:
        """See rich; markup=True for our own words."""
        super().print(*(with_escapes(o) if isinstance(o, str) else o for o in objects), **more)


out = Terminal()
err = Terminal(stderr=True)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def as_json(value: object, *, is_compact: bool = False) -> str:
    """One JSON text; times in ISO 8601."""
    between = (",", ":") if is_compact else None
    told = json.dumps(value, default=_plain, ensure_ascii=False, sort_keys=True, separators=between)
    return with_escapes(told)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json_: bool) -> None:
    """A listing: JSON array, or a table of these columns."""
    if as_json_:
        print(as_json([dict(row) for row in rows]))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    out.print(table)


def tell_one(told: Mapping[str, Any], *, leaves_out: Collection[str] = ()) -> None:
    """One thing with all that is known of it, a line each; what is empty is left out."""
    for name, value in told.items():
        if name not in leaves_out and (text := _cell(value)):
            out.print(f"{name:16} {text}", markup=False)


def _cell(value: object) -> str:
    """Any value as people write it; what cannot be seen is written out (see `Terminal`)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, set | frozenset):
        return _cells(sorted(value, key=str))
    if isinstance(value, dict | list | tuple):
        return _cells(value)
    return with_escapes(str(value))


def _cells(values: Collection[object]) -> str:
    """Words after one another, anything deeper as JSON."""
    if isinstance(values, Mapping) or not all(isinstance(one, str | int) for one in values):
        return as_json(values) if values else ""
    return ", ".join(_cell(one) for one in values)


def is_attended() -> bool:
    """Whether somebody sits there: what they see may still go through a pipe."""
    return out.is_terminal or (sys.stdin is not None and sys.stdin.isatty())


def agrees(question: str, *, yes: bool) -> bool:
    """Whether whoever sits there says yes; a script has said so by what it does."""
    return yes or not is_attended() or typer.confirm(question, err=True)


def ask(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; a no ends with exit code 1."""
    if not agrees(question, yes=yes):
        raise typer.Exit(1)
