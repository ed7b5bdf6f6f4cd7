"""`rosterd operator`: who may look at the status page."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.connecting import check_address
from worker.adapters.db.alerts import known_alerts
from worker.cli.output import AsJSON, out, show
from worker.cli.session import container, setup

app = typer.Typer(no_args_is_help=True, help="Operators: who may see the status page.")


@app.command("add")
def add(
    email: str,
    role: Annotated[str, typer.Option()] = "viewer",
    account: Annotated[
        str | None, typer.Option(help="Who sees this account and its children only (C4).")
    ] = None,
) -> None:
    """A new operator, of the whole installation or of one account."""
    with setup() as use:
        owner = use.account(account)["id"] if account else None
    added = container().operators.add(check_address(email), role, account=owner)
    out.print(f"added: {added}")


@app.command("list")
def list_(json_: AsJSON = False) -> None:
    """All operators."""
    show(
        container().operators.all(),
        ["id", "email", "role", "account", "created_at"],
        as_json_=json_,
    )


@app.command("role")
def role(email: str, role: str) -> None:
    """Give an operator another role."""
    container().operators.set_role(email, role)
    out.print(f"{email} is {role} now")


@app.command("link")
def link(email: str) -> None:
    """A sign-in link that works once, for a quarter of an hour."""
    token = container().operators.link(email)
    out.print(f"{container().settings.public_url.rstrip('/')}/sign-in/{token}", markup=False)


@app.command("alerts")
def alerts(account: Annotated[str | None, typer.Option()] = None, json_: AsJSON = False) -> None:
    """What operators were told of, newest first; without told_at it waits to be mailed."""
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        found = known_alerts(use.sql, owner)
    columns = ["last_at", "topic", "subject", "headline", "count", "told_at"]
    show(found, columns, as_json_=json_)
