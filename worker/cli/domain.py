"""`rosterd domain`: which e-mail domains an account takes (E4)."""

from __future__ import annotations

import typer

from domain.connecting import check_domain
from worker.cli.output import AsJSON, out, show
from worker.cli.session import setup

app = typer.Typer(no_args_is_help=True, help="Allowed e-mail domains of an account.")


@app.command("allow")
def allow(account: str, domain: str) -> None:
    """Allow a domain; says what may be replayed now."""
    name = check_domain(domain)
    with setup() as use:
        found = use.account(account)
        is_new = use.allow_domain(found["id"], name)
        refused = use.refused_for_domain(found["id"], name)
    out.print(f"domain {name} {'allowed' if is_new else 'was allowed already'}")
    if refused:
        out.print(f"{refused} dead letters were refused for it; replay them:")
        out.print(
            f"  rosterd dead replay --account {found['name']} --reason-code domain_not_allowed "
            f"--detail {name} --reason 'domain allowed'"
        )


@app.command("forbid")
def forbid(account: str, domain: str) -> None:
    """Forbid a domain from now on; nobody who is there is changed."""
    name = check_domain(domain)
    with setup() as use:
        was = use.forbid_domain(use.account(account)["id"], name)
    out.print(f"domain {name} {'forbidden' if was else 'was not on the list'}")


@app.command("list")
def list_(account: str, json_: AsJSON = False) -> None:
    """Allowed domains of an account."""
    with setup() as use:
        rows = [{"domain": name} for name in use.domains(use.account(account)["id"])]
    show(rows, ["domain"], as_json_=json_)
