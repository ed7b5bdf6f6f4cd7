"""`rosterd migrate`: the database schema."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.adapters.db.migrate import migrate
from worker.adapters.db.schema import is_current, is_newer, newest
from worker.cli.output import out
from worker.cli.session import container


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("migrate")
    def migrate_(
        check: Annotated[bool, typer.Option("--check", help="Only say; exit 1 if behind.")] = False,
    ) -> None:
        """Bring the database schema up to date."""
        database = container().database
        if check:
            _check(is_up_to_date=is_current(database))
            return
        before, after = migrate(database)
        was = "" if before == after else f" (was {before or 'empty'})"
        newer = ", newer than this version's: it is left as it is" if is_newer(after) else ""
        out.print(f"schema is at {after}{was}{newer}")


def _check(*, is_up_to_date: bool) -> None:
    if is_up_to_date:
        out.print(f"schema is at {newest()} or newer")
        return
    out.print(f"schema is behind {newest()}: run `rosterd migrate`")
    raise typer.Exit(1)
