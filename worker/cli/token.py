"""`rosterd token`: bearer tokens, shown once (C3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from domain.errors import RefusedError, UsageError
from worker.adapters.db.setup import SQLSetup
from worker.adapters.sources.scim import NAME as SCIM
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.session import setup

app = typer.Typer(no_args_is_help=True, help="Bearer tokens: stored hashed, shown once.")

SCOPES = ("scim:read", "scim:write", "directory:read", "directory:write", "metrics", "operator")
#: What these open is not divided by account.
OF_ALL_ACCOUNTS = ("metrics", "operator")
OF_A_FEED = ("scim:read", "scim:write")


@app.command("add")
def add(
    name: str,
    scope: Annotated[list[str], typer.Option(help="What it may do; repeat for several.")],
    account: Annotated[str | None, typer.Option()] = None,
    feed: Annotated[str | None, typer.Option(help="SCIM feed that it speaks for.")] = None,
    days: Annotated[int | None, typer.Option(help="Days until it expires.")] = None,
    json_: AsJSON = False,
) -> None:
    """A new token."""
    wrong = [text for text in scope if text not in SCOPES]
    if wrong:
        raise UsageError(f"scope {wrong[0]!r} is unknown; there are: {', '.join(SCOPES)}")
    of_all = [text for text in scope if text in OF_ALL_ACCOUNTS]
    if account is not None and of_all:
        raise UsageError(f"scope {of_all[0]!r} tells of all accounts: leave --account away")
    if feed is not None and (account is not None or not set(scope) <= set(OF_A_FEED)):
        raise UsageError(f"--feed goes with the scopes {', '.join(OF_A_FEED)}, without --account")
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        if feed is not None:
            owner = _owner_of(use, feed)
        expires_at = use.now + timedelta(days=days) if days is not None else None
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
def revoke(token: str, reason: Annotated[str, typer.Option()]) -> None:
    """Dead at once."""
    with setup() as use:
        use.revoke_token(token, reason=reason)
    out.print("revoked")
