"""`rosterd account`: tenants."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.connecting import check_address, check_name
from domain.errors import UsageError
from domain.model import PersonState
from worker.adapters.idn import to_entry
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.session import post, setup

app = typer.Typer(no_args_is_help=True, help="Accounts: the tenants whose directory is kept.")


@app.command("add")
def add(
    name: str,
    owner: Annotated[str | None, typer.Option(help="E-mail of the first owner.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Allowed e-mail domain.")] = None,
    parent: Annotated[str | None, typer.Option(help="Parent account.")] = None,
    several: Annotated[bool, typer.Option(help="Allow several connections (C1).")] = False,
    active: Annotated[bool, typer.Option("--active", help="You vouch for the owner.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit; with --active.")] = "",
    json_: AsJSON = False,
) -> None:
    """Add an account with its built-in groups; its owner is invited by mail."""
    if active and not reason.strip():
        raise UsageError("--active needs a --reason: nobody asked the owner")
    domains = [to_entry(text) for text in domain or []]
    owner = check_address(owner) if owner is not None else None
    with setup() as use:
        account = use.add_account(
            check_name(name),
            owner=owner,
            domains=domains,
            parent=parent,
            several=several,
            owner_state=PersonState.ACTIVE if active else PersonState.INVITED,
            reason=reason,
        )
    if owner is not None and not active:
        post()
    if json_:
        print(as_json({"id": account, "name": name, "domains": domains}))
        return
    out.print(f"account {name} added: {account}")
    if not domains:
        out.print("no domain is allowed yet, so nobody can be provisioned (E4):")
        out.print(f"  rosterd domain allow {name} example.com")


@app.command("list")
def list_(json_: AsJSON = False) -> None:
    """All accounts."""
    with setup() as use:
        rows = use.accounts()
    show(rows, ["id", "name", "parent_id", "created_at"], as_json_=json_)


@app.command("show")
def show_(name: str, json_: AsJSON = False) -> None:
    """One account with its domains and connections."""
    with setup() as use:
        account = use.account(name)
        found = {
            **account,
            "domains": use.domains(account["id"]),
            "connections": [row["name"] for row in use.connections(account["id"])],
        }
    show([found], list(found), as_json_=json_)
