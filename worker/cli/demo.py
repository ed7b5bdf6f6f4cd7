"""`rosterd demo`: the whole story over real HTTP, on embedded parts, then: be the IdP yourself."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from worker.cli.output import out
from worker.cli.play import play
from worker.cli.running import throwaway
from worker.cli.stage import Stage
from worker.cli.story import prepare, tell


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("demo")
    def demo(
        once: Annotated[bool, typer.Option("--once", help="Tell the story, then end.")] = False,
        port: Annotated[int | None, typer.Option()] = None,
        database_url: Annotated[str | None, typer.Option(help="Instead of SQLite.")] = None,
        broker_url: Annotated[str | None, typer.Option(help="Instead of Valkey.")] = None,
    ) -> None:
        """Signed traffic of several sources through the real endpoints, shown live."""
        with throwaway(port=port, database_url=database_url, broker_url=broker_url) as running:
            stage = prepare(running.settings, running.url)
            is_good = _run(stage, once=once, is_asked=running.is_over)
        raise typer.Exit(0 if is_good else 1)


def _run(stage: Stage, *, once: bool, is_asked: Callable[[], bool]) -> bool:
    is_good = tell(stage, random.Random(7))  # noqa: S311 - a shuffle, not a secret
    out.print(f"\nstatus page: {stage.sign_in_link()}", markup=False)
    if not once and is_good:
        out.print("\nNow be the identity provider. `help` lists the words; Ctrl-C ends.")
        play(stage, sys.stdin, is_asked=is_asked)
    return is_good
