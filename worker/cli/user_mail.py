"""`rosterd user`: the links that people get by mail, and mail that does not arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.adapters.db.deliverability import note_bounce
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out
from worker.cli.reasons import Why, insist
from worker.cli.session import actor, container, person_named, setup

Account = Annotated[str | None, typer.Option(help="Whose account; needed for an address.")]


def register(app: typer.Typer) -> None:
    """Put the commands under `user`."""
    app.command("revoke-invitation")(_revoke_invitation)
    app.command("bounce")(_bounce)


def _revoke_invitation(
    person: Annotated[str, typer.Argument(help="Id, or address with --account.")],
    reason: Why,
    account: Account = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """End the open link of a person, an invitation or a change of address; `resend` opens another.

    The person stays who they are: somebody who is to be out is suspended.
    """
    named, owner = person_named(person, account)
    link = container().members.open_link(named, account=owner)
    if not dry_run:
        ask(f"End the open {link.kind.value} of {link.address}?", yes=yes)
        link = container().members.revoke(named, account=owner, actor=actor(), reason=reason)
    told = {"id": named, "kind": link.kind.value, "address": link.address, "revoked": not dry_run}
    if json_:
        print(as_json(told))
        return
    did = "would be dead" if dry_run else "is dead"
    out.print(f"the {link.kind.value} link for {link.address} {did}", markup=False)


def _bounce(
    address: str,
    reason: Annotated[str, typer.Option(help="What the mail server said.", callback=insist)],
    account: Annotated[str | None, typer.Option(help="Default: in every account.")] = None,
    json_: AsJSON = False,
) -> None:
    """Mail to an address came back: whoever holds it is shown as undeliverable (E7)."""
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        people = note_bounce(use.sql, address, account=owner, actor=actor(), reason=reason)
    if json_:
        print(as_json({"address": address, "people": people}))
        return
    out.print(f"undeliverable: {', '.join(people)}", markup=False)
