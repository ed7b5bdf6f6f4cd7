"""`rosterd hold`: what the breaker keeps back, and an operator's answer (C6)."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.breaker import Released
from domain.errors import UsageError
from worker.adapters.db.holding import SQLHolds
from worker.cli.options import MOST
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show, tell_one
from worker.cli.reasons import Why
from worker.cli.session import actor, container, narrowed

app = typer.Typer(no_args_is_help=True)


def _holds() -> SQLHolds:
    return SQLHolds(container().database)


@app.command("list")
def list_(
    account: Annotated[str | None, typer.Option(help="Account by name or id.")] = None,
    connection: Annotated[str | None, typer.Option(help="Connection by name or id.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="With those that were answered.")] = False,
    json_: AsJSON = False,
) -> None:
    """Tripped breakers, with what each would do."""
    owner, attached = narrowed(account, connection)
    accounts = None if owner is None else {owner}
    rows, after = _holds().page(accounts, connection=attached, is_open=not all_)
    while after is not None:
        more, after = _holds().page(accounts, connection=attached, is_open=not all_, after=after)
        rows += more
    if json_:
        print(as_json(rows))
        return
    for row in rows:
        where = f"{row['account']}/{row['connection']}"
        since = f"since {row['opened_at']:%Y-%m-%d %H:%M} UTC"
        out.print(f"{row['id']}  {where}  {row['state']} {since}", markup=False)
        out.print(f"    {row['explanation']}", markup=False)
    if not rows:
        out.print("nothing is held")


@app.command("show")
def show_(
    hold: str,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="So many of its events.")] = 100,
    json_: AsJSON = False,
) -> None:
    """One hold: why, what it would do to whom, its events."""
    found = _holds().show(hold, limit=limit)
    if json_:
        print(as_json(found))
        return
    events = found.pop("held")
    tell_one(found)
    show(events, ["id", "received_at", "type", "subject", "email"], as_json_=False)


@app.command("approve")
def approve(hold: str, reason: Why, yes: Yes = False, dry_run: DryRun = False) -> None:
    """It is meant: what is held goes on, and the window begins anew."""
    if not _asked(hold, "let go", reason, yes=yes, dry_run=dry_run):
        return
    done = _holds().approve(hold, actor=actor(), reason=reason)
    _ring(done.kinds)
    out.print(f"approved; {done.events} events go on")
    if done.undid:
        out.print(f"it takes back an answer: the hold was {done.undid}")


@app.command("reject")
def reject(hold: str, reason: Why, yes: Yes = False, dry_run: DryRun = False) -> None:
    """It is a mistake: what is held is never applied. `approve` takes this back."""
    if not _asked(hold, "discard", reason, yes=yes, dry_run=dry_run):
        return
    done = _holds().reject(hold, actor=actor(), reason=reason)
    out.print(f"rejected; {done.events} events are discarded, their facts stay out")


@app.command("raise-once")
def raise_once(
    hold: str,
    to: Annotated[int, typer.Option(min=1, max=MOST, help="The limit until one window from now.")],
    reason: Why,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Some of it is meant: a higher limit for one window; what passes that, too, is held again."""
    if not _asked(hold, f"try again under a limit of {to:,}", reason, yes=yes, dry_run=dry_run):
        return
    done = _holds().raise_once(hold, to=to, actor=actor(), reason=reason)
    _ring(done.kinds)
    out.print(f"raised to {to:,}; {done.events} events are tried again")


def _asked(hold: str, verb: str, reason: str, *, yes: bool, dry_run: bool) -> bool:
    """Say what is at stake; whether to go on."""
    if not reason.strip():
        raise UsageError("an answer to a hold needs a --reason for the audit")
    found = _holds().show(hold, limit=0)
    out.print(f"{hold}: {found['explanation']}", markup=False)
    question = f"{verb} {found['events'] or 0} events of {found['account']}/{found['connection']}"
    if dry_run:
        out.print(f"would {question}", markup=False)
        return False
    ask(f"{question}?", yes=yes)
    return True


def _ring(kinds: Released) -> None:
    ringer = container().ringer
    for kind, lane in kinds:
        ringer.ring(kind, lane.value, connection="", event_ids=())
    ringer.stop()
