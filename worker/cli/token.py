"""`rosterd token`: bearer tokens, shown once (C3)."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.errors import RefusedError
from domain.tokens import check_scopes
from worker.adapters.db.setup import SQLSetup
from worker.adapters.sources.scim import NAME as SCIM
from worker.cli.options import Days
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show
from worker.cli.reasons import Why
from worker.cli.session import setup

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    name: str,
    scope: Annotated[list[str], typer.Option(help="What it may do; repeat for several.")],
    account: Annotated[str | None, typer.Option()] = None,
    feed: Annotated[str | None, typer.Option(help="SCIM feed that it speaks for.")] = None,
    days: Days = None,
    json_: AsJSON = False,
) -> None:
    """A new token."""
    check_scopes(scope, account=account, feed=feed)
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        if feed is not None:
            owner = _owner_of(use, feed)
        expires_at = use.in_days(days) if days is not None else None
        token = use.add_token(owner, name=name, scopes=scope, feed=feed, expires_at=expires_at)
    if json_:
        print(as_json({"token": token, "name": name, "scopes": scope}))
        return
    out.print(token, markup=False)


def _owner_of(use: SQLSetup, feed: str) -> str:
    found = use.feed(feed)
    if found["source"] != SCIM or found["state"] == "retired":
        raise RefusedError(f"feed {feed} speaks no SCIM")
    return str(found["account_id"])


@app.command("list")
def list_(json_: AsJSON = False) -> None:
    """All tokens, without what lets somebody in."""
    with setup() as use:
        rows = use.tokens()
    shown = ["id", "prefix", "name", "scopes", "last_used_at", "expires_at", "revoked_at"]
    show(rows, shown, as_json_=json_)


@app.command("revoke")
def revoke(token: str, reason: Why, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Dead at once, and for good."""
    with setup() as use:
        found = use.token_told(token)
    told = f"{found['prefix']}.. ({found['name']}), last used {found['last_used_at'] or 'never'}"
    if dry_run:
        out.print(f"would revoke {told}")
        return
    ask(f"revoke {told}?", yes=yes)
    with setup() as use:
        use.revoke_token(token, reason=reason)
    out.print("revoked")
