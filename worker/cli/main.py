"""The root command: nouns are sub-commands, errors become exit codes."""

from __future__ import annotations

import sys
from importlib import import_module

import typer
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.ports import InfrastructureError
from worker.cli.output import err
from worker.settings import SettingsError

#: Exit codes (INTERFACE): failed, wrong use, nothing matched, database or broker out of reach.
FAILED, WRONG_USE, NO_MATCH, OUT_OF_REACH = 1, 2, 3, 4

NOUNS = (
    "account",
    "audit",
    "connection",
    "dead",
    "directory",
    "domain",
    "endpoint",
    "event",
    "feed",
    "group",
    "hold",
    "keys",
    "links",
    "mail",
    "operator",
    "replay",
    "source",
    "token",
    "user",
)
VERBS = (
    *("backup", "bench", "completion", "demo", "doctor"),
    *("migrate", "processes", "status", "up"),
)


def build_cli() -> typer.Typer:
    """The command with everything under it."""
    app = typer.Typer(
        name="rosterd",
        help="Keeps an application's directory in step with a customer's identity provider.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for noun in NOUNS:
        app.add_typer(import_module(f"worker.cli.{noun}").app, name=noun)
    for verb in VERBS:
        import_module(f"worker.cli.{verb}").register(app)
    return app


def main() -> None:
    """Run the command; exit code by kind of error."""
    try:
        build_cli()()
    except (UsageError, SettingsError) as error:
        _fail(error, WRONG_USE)
    except NothingFoundError as error:
        _fail(error, NO_MATCH)
    except InfrastructureError as error:
        _fail(error, OUT_OF_REACH)
    except RefusedError as error:
        _fail(error, FAILED)
    except SQLAlchemyError as error:
        if "no such table" in str(error) or "does not exist" in str(error):
            _fail("the database has no tables yet: run `rosterd migrate` (or `rosterd up`)", FAILED)
        raise


def _fail(error: object, code: int) -> None:
    err.print(f"rosterd: {error}", style="red", markup=False)
    sys.exit(code)
