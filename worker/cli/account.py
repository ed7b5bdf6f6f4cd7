"""`rosterd account`: tenants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from domain.connecting import check_address, check_name
from domain.errors import UsageError
from domain.model import PersonState
from worker.adapters.db.family import as_tree, counts, family_of
from worker.adapters.idn import to_entry
from worker.cli.output import AsJSON, as_json, out, show, tell_one
from worker.cli.reasons import Reason
from worker.cli.session import post, setup

app = typer.Typer(no_args_is_help=True)


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
    """All accounts, children below their parents (C4)."""
    with setup() as use:
        told = counts(use.sql)
        rows = [
            {**row, **_counts(told, row["id"]), "depth": depth}
            for depth, row in as_tree(use.accounts())
        ]
    if not json_:
        rows = [{**row, "name": "  " * row["depth"] + str(row["name"])} for row in rows]
    columns = ["id", "name", "people", "connections", "dead", "created_at"]
    show(rows, columns, as_json_=json_)


def _counts(told: Mapping[str, Mapping[str, int]], account: str) -> dict[str, int]:
    return {name: told.get(account, {}).get(name, 0) for name in ("people", "connections", "dead")}


@app.command("show")
def show_(name: str, json_: AsJSON = False) -> None:
    """One account with its domains, connections and children."""
    with setup() as use:
        account = use.account(name)
        told = counts(use.sql)
        below = family_of(use.sql, account["id"]) - {account["id"]}
        found = {
            **account,
            **_counts(told, account["id"]),
            "domains": use.domains(account["id"]),
            "governed_by": [
                f"{row['name']} ({row['state']})" for row in use.connections(account["id"])
            ],
            "children": [
                {"id": row["id"], "name": row["name"], **_counts(told, row["id"])}
                for row in use.accounts()
                if row["id"] in below
            ],
        }
    if json_:
        print(as_json(found))
        return
    tell_one(found)


@app.command("set")
def set_(
    name: str,
    several: Annotated[str, typer.Option(help="on or off: may several connections govern it?")],
    reason: Reason = "",
) -> None:
    """C1: let several connections govern one account, or only one."""
    if several not in ("on", "off"):
        raise UsageError(f"--several {several!r}: on or off")
    with setup() as use:
        use.set_several(use.account(name), allows=several == "on", reason=reason)
    out.print(f"{name}: several connections {'allowed' if several == 'on' else 'not allowed'}")
