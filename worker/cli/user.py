"""`rosterd user`: people of an account."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.model import PersonState
from worker.adapters.db.people_queries import find_people, person_story
from worker.cli import by_hand, override, user_mail
from worker.cli.links import move_user
from worker.cli.options import Limit, word
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.reasons import Why
from worker.cli.session import actor, container, post, reading, setup

app = typer.Typer(no_args_is_help=True)
by_hand.register(app)
user_mail.register(app)
override.register(app)
app.command("move")(move_user)

COLUMNS = [
    *("id", "email", "requested_email", "state", "undeliverable"),
    *("role", "managed", "external_id"),
]


@app.command("list")
def list_(
    account: Annotated[str | None, typer.Option()] = None,
    email: Annotated[str | None, typer.Option(help="Exact address.")] = None,
    state: Annotated[PersonState | None, word(PersonState, "--state")] = None,
    limit: Limit = 100,
    json_: AsJSON = False,
) -> None:
    """People by account, address or state."""
    with setup() as use:
        account_id = use.account(account)["id"] if account else None
    with reading() as connection:
        rows = find_people(connection, account=account_id, email=email, state=state, limit=limit)
    if not json_:
        rows = [{**row, "undeliverable": row["undeliverable"] and "yes"} for row in rows]
    show(rows, COLUMNS, as_json_=json_)


@app.command("show")
def show_(person: str, json_: AsJSON = False) -> None:
    """One person: what is, what the IdP wants, each feed's last word."""
    with reading() as connection:
        found = person_story(connection, person)
    if json_:
        print(as_json(found))
        return
    for key, value in found.items():
        out.print(
            f"{key:16} {as_json(value) if isinstance(value, dict | list) else value}", markup=False
        )


@app.command("accept")
def accept(
    person: str,
    reason: Why,
    json_: AsJSON = False,
) -> None:
    """Accept for a person what they have open: an invitation or a change of address."""
    after = container().members.vouch(person, actor=actor(), reason=reason)
    post()
    if json_:
        print(as_json({"id": after.id, "state": after.state.value, "email": after.email}))
        return
    out.print(f"{after.id} is {after.state.value}, address in force: {after.email}")


@app.command("resend")
def resend(
    person: str,
    reason: Why,
    json_: AsJSON = False,
) -> None:
    """Send the open invitation or change of address again; the old link dies at once."""
    found = container().members.resend(person, actor=actor(), reason=reason)
    container().ring_notices()
    container().ringer.stop()
    to = found.pending or found.email
    if json_:
        print(as_json({"id": found.id, "to": to}))
        return
    out.print(f"a new link is on its way to {to}; the old one is dead", markup=False)
