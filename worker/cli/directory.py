"""`rosterd directory`: the directory as a whole."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.access import Window
from domain.errors import UsageError
from worker.adapters.access_csv import as_csv
from worker.adapters.db.access_lines import review_lines
from worker.adapters.db.access_review import ReviewAsked
from worker.adapters.db.export import export_lines
from worker.cli.event import moment
from worker.cli.importing import import_
from worker.cli.output import as_json
from worker.cli.progress import progress
from worker.cli.session import reading, setup

app = typer.Typer(no_args_is_help=True)
app.command("import")(import_)


@app.command("export")
def export(account: Annotated[str, typer.Option(help="Account by name or id.")]) -> None:
    """JSON Lines, sorted: users, groups, memberships; nothing volatile."""
    with setup() as use:
        account_id = use.account(account)["id"]
    # Lines and a bar on one terminal would be in each other's way.
    is_quiet = sys.stdout.isatty()
    with reading() as connection, progress("exporting", unit="lines", is_quiet=is_quiet) as done:
        for number, line in enumerate(export_lines(connection, account_id), start=1):
            sys.stdout.write(as_json(line.model_dump(), is_compact=True) + "\n")
            done(number)


At = Annotated[str | None, typer.Option(help="At this moment: time, or 10m, 2h, 3d ago.")]
Since = Annotated[str | None, typer.Option(help="Whatever lasted after this moment.")]
Until = Annotated[str | None, typer.Option(help="Whatever lasted before this moment.")]


@app.command("review")
def review(
    account: Annotated[str, typer.Option(help="Account by name or id.")],
    at: At = None,
    since: Since = None,
    until: Until = None,
    group: Annotated[str | None, typer.Option(help="Only this group, by name or id.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="CSV instead of JSON Lines.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON Lines, as without it.")] = False,
) -> None:
    """Who had access to which group from when to when, on whose word.

    A line for each membership, with the intervals in which its person could sign in, too.
    """
    if csv and json:
        raise UsageError("--csv or --json, not both")
    window = Window(moment(at), moment(since), moment(until))
    with setup() as use:
        asked = ReviewAsked(use.account(account)["id"], group, window)
    is_quiet = sys.stdout.isatty()
    with reading() as connection, progress("reviewing", unit="lines", is_quiet=is_quiet) as done:
        lines = review_lines(connection, asked)
        told = as_csv(lines) if csv else (f"{as_json(o, is_compact=True)}\n" for o in lines)
        for number, line in enumerate(told, start=1):
            sys.stdout.write(line)
            done(number)
