"""`rosterd operator`: who may see and do what, how they sign in, where they are signed in."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from domain.errors import NothingFoundError, UsageError
from domain.sign_in import LINK_LIFE
from worker.adapters.db.alerts import known_alerts
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show
from worker.cli.reasons import Reason, Why
from worker.cli.session import asker, container, setup
from worker.services.appoint import Appoint

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    email: str,
    role: Annotated[str, typer.Option(help="viewer, operator, editor or admin.")] = "viewer",
    account: Annotated[
        str | None, typer.Option(help="Who sees this account and its children only (C4).")
    ] = None,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """A new operator, of the whole installation or of one account."""
    with setup() as use:
        owner = use.account(account)["id"] if account else None
    added = _appoint().add(asker(), email, role, account=owner, reason=reason)
    _tell(f"added: {added}", json_, id=added, email=email, role=role, account=owner)


@app.command("list")
def list_(json_: AsJSON = False) -> None:
    """All operators."""
    columns = ["id", "email", "role", "account", "has_password", "seen_at", "created_at"]
    show(_appoint().all(asker()), columns, as_json_=json_)


@app.command("role")
def role(email: str, role: str, reason: Reason = "", json_: AsJSON = False) -> None:
    """Give an operator another role, from their next request on."""
    before = _appoint().set_role(asker(), email, role, reason=reason)
    told = f"{before.email} is {role} now, was {before.role}"
    _tell(told, json_, email=before.email, role=role, was=before.role.value)


@app.command("remove")
def remove(
    email: str, reason: Why, dry_run: DryRun = False, yes: Yes = False, json_: AsJSON = False
) -> None:
    """No operator any more: signed out at once, links and password gone."""
    known = {one["email"]: one["role"] for one in _appoint().all(asker())}
    if email not in known:
        raise NothingFoundError("operator", email)
    if dry_run:
        told = f"would remove {email}, who is {known[email]}"
        _tell(told, json_, email=email, role=known[email])
        return
    ask(f"Remove {email}?", yes=yes)
    _appoint().remove(asker(), email, reason=reason)
    _tell(f"removed: {email}", json_, email=email)


@app.command("link")
def link(email: str, reason: Reason = "", json_: AsJSON = False) -> None:
    """A sign-in link that works once, for a quarter of an hour."""
    token = _appoint().link(asker(), email, reason=reason)
    url = f"{container().settings.public_url.rstrip('/')}/sign-in/{token}"
    _tell(url, json_, email=email, url=url, seconds=int(LINK_LIFE.total_seconds()))


@app.command("password")
def password(
    email: str,
    remove: Annotated[bool, typer.Option("--remove", help="No password any more.")] = False,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """Set a password, asked for or read from standard input; signs the operator out."""
    given = None if remove else _asked_password()
    _appoint().set_password(asker(), email, given, reason=reason)
    told = "has no password any more" if remove else "has a new password"
    _tell(f"{email} {told}, and is signed out", json_, email=email, has_password=not remove)


@app.command("sessions")
def sessions(email: Annotated[str | None, typer.Argument()] = None, json_: AsJSON = False) -> None:
    """Where operators are signed in, last seen first."""
    found = [asdict(one) for one in _appoint().sessions(asker(), email)]
    columns = ["id", "email", "way", "address", "agent", "made_at", "seen_at", "expires_at"]
    show(found, columns, as_json_=json_)


@app.command("sign-out")
def sign_out(
    email: str,
    session: Annotated[str | None, typer.Option(help="Only this one, by its id.")] = None,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """End an operator's sessions at once, or one of them."""
    if session is not None:
        _appoint().end_session(asker(), session, email=email, reason=reason)
        ended = 1
    else:
        ended = _appoint().end_sessions(asker(), email, reason=reason)
    _tell(f"ended: {ended}", json_, email=email, ended=ended)


@app.command("alerts")
def alerts(account: Annotated[str | None, typer.Option()] = None, json_: AsJSON = False) -> None:
    """What operators were told of, newest first; without told_at it waits to be mailed."""
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        found = known_alerts(use.sql, owner)
    columns = ["last_at", "topic", "subject", "headline", "count", "told_at"]
    show(found, columns, as_json_=json_)


def _appoint() -> Appoint:
    return container().operators.appoint


def _tell(text: str, json_: bool, **fields: object) -> None:
    if json_:
        print(as_json(fields))
    else:
        out.print(text, markup=False)


def _asked_password() -> str:
    """Typed twice at a terminal, else the first line of standard input: never an argument."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise UsageError("no password on standard input")
    return line
