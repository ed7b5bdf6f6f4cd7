"""The root command: nouns are sub-commands, errors become exit codes.

Only the command that is asked for is loaded: all of them take as long as many an answer does.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import typer

from domain.errors import NothingFoundError, RefusedError, UsageError
from worker.adapters.collector import look_rarely
from worker.cli.output import err

#: Exit codes (INTERFACE): failed, wrong use, nothing matched, database or broker out of reach.
FAILED, WRONG_USE, NO_MATCH, OUT_OF_REACH = 1, 2, 3, 4

#: Commands by their module, with their lines in the list of commands.
VERBS = {
    "backup": {
        "backup": "Write the database to FILE and its keys to FILE.keys, while everything runs.",
        "restore": "Fill an empty database from FILE; keys come from FILE.keys unless there are some.",  # noqa: E501
    },
    "bench": {"bench": "Measurements, each beside its comparison."},
    "completion": {
        "completion": "Print the script: `rosterd completion bash > ~/.local/share/bash-completion/..`."  # noqa: E501
    },
    "demo": {"demo": "Signed traffic of several sources through the real endpoints, shown live."},
    "doctor": {"doctor": "Check database, broker, clock, mail, keys, accounts."},
    "migrate": {"migrate": "Bring the database schema up to date."},
    "play": {
        "play": "Be the identity provider of a rosterd that is started for it and gone afterwards."
    },
    "processes": {
        "web": "Serve HTTP: hooks, members' pages, status.",
        "worker": "Consume rings and drain the inbox.",
        "beat": "Ring the sweep on time. Workers sweep without it, too.",
    },
    "record": {
        "record": "Write the next requests of a feed to files without anybody's data, for a bug "
        "report."
    },
    "reconcile": {
        "reconcile": "Read the identity provider's directory and print what differs from ours; "
        "a dry run."
    },
    "status": {
        "status": "Per lane and connection: backlog, oldest age, retrying, waiting, held, dead."
    },
    "up": {
        "up": "Run web, workers and beat here; embedded database and broker where no URL is given."
    },
}
#: Modules of sub-commands.
NOUNS = {
    "account": "Accounts: the tenants whose directory is kept.",
    "audit": "The audit: who did what to whom, why.",
    "connection": "Connections: one identity provider each.",
    "dead": "Dead letters: see, group, replay, discard.",
    "directory": "The directory of an account.",
    "domain": "Allowed e-mail domains of an account.",
    "endpoint": "Endpoints of applications: signed requests for every change.",
    "erasure": "Proofs that somebody was deleted for good.",
    "event": "Events: what came in, and what became of it.",
    "feed": "Feeds of a connection: own URL, own credentials.",
    "group": "Groups, whoever made them.",
    "hold": "Holds: what a tripped breaker keeps back.",
    "keys": "Keys that seal secrets and bodies at rest.",
    "links": "Links: which external id is which person.",
    "mail": "Mails to members: their words, and how they look.",
    "operator": "Operators: who may see and do what, and how they sign in.",
    "replay": "Replays: plan, start, watch, pause, cancel.",
    "source": "Sources: the kinds of interface behind feeds.",
    "token": "Bearer tokens: stored hashed, shown once.",
    "user": "People, whoever made them.",
}


def build_cli(word: str | None = None) -> typer.Typer:
    """The command with everything under it, or with what begins with this word.

    A word that is no command's (`--help`, a slip) gets a list of commands that do nothing.
    """
    app = typer.Typer(
        name="rosterd",
        help="Keeps an application's directory in step with a customer's identity provider.",
        # A command of one sub-command would be that sub-command.
        callback=lambda: None,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    is_known = word in NOUNS or any(word in verbs for verbs in VERBS.values())
    for module, verbs in VERBS.items():
        if word is None or word in verbs:
            import_module(f"worker.cli.{module}").register(app)
        elif not is_known:
            for verb, line in verbs.items():
                app.command(verb, help=line)(_listed_only)
    for noun, line in NOUNS.items():
        if word in (None, noun):
            app.add_typer(import_module(f"worker.cli.{noun}").app, name=noun, help=line)
        elif not is_known:
            app.command(noun, help=line)(_listed_only)
    return app


def _listed_only() -> None:
    raise AssertionError("whatever is named is loaded")


def main() -> None:
    """Run the command; exit code by kind of error."""
    look_rarely()
    try:
        build_cli(_word())()
    except UsageError as error:
        _fail(error, WRONG_USE)
    except NothingFoundError as error:
        _fail(error, NO_MATCH)
    except RefusedError as error:
        _fail(error, FAILED)
    except Exception as error:
        _fail_if_of_database(error)
        raise


def _fail_if_of_database(error: Exception) -> None:
    # Whoever met one has loaded these; a list of commands needs no database.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from domain.ports import InfrastructureError  # noqa: PLC0415

    if isinstance(error, InfrastructureError):
        _fail(error, OUT_OF_REACH)
    is_empty = "no such table" in str(error) or "does not exist" in str(error)
    if isinstance(error, SQLAlchemyError) and is_empty:
        _fail("the database has no tables yet: run `rosterd migrate` (or `rosterd up`)", FAILED)


def _word() -> str | None:
    """The first word after `rosterd`; None where a shell asks for completions of any."""
    if "_ROSTERD_COMPLETE" in os.environ:
        return None
    return sys.argv[1] if len(sys.argv) > 1 else ""


def _fail(error: object, code: int) -> None:
    err.print(f"rosterd: {error}", style="red", markup=False)
    sys.exit(code)
