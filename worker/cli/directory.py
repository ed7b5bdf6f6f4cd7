"""`rosterd directory`: the directory as a whole."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from worker.adapters.db.export import export_lines
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
