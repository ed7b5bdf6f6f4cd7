"""`rosterd user`: people of an account."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from domain.errors import NothingFoundError
from domain.looking import AuditFilter
from domain.model import PersonState
from worker.adapters.db.people_queries import find_people, person_story
from worker.cli import by_hand, override, user_mail
from worker.cli.event import newest
from worker.cli.links import move_user
from worker.cli.options import Limit, word
from worker.cli.output import AsJSON, as_json, out, show, tell_one
from worker.cli.reasons import Why
from worker.cli.session import actor, container, person_seen, post, reading, setup

app = typer.Typer(no_args_is_help=True)
by_hand.register(app)
user_mail.register(app)
override.register(app)
app.command("move")(move_user)

Seen = Annotated[
    str, typer.Argument(metavar="PERSON", help="Id, or address; with --account where several fit.")
]
Whose = Annotated[str | None, typer.Option(help="Whose person.")]
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
def show_(person: Seen, account: Whose = None, json_: AsJSON = False) -> None:
    """One person: what is, what the IdP wants, each feed's last word."""
    found = _story(person, account)
    if json_:
        print(as_json(found))
        return
    tell_one(found)


@app.command("timeline")
def timeline(person: Seen, account: Whose = None, limit: Limit = 50, json_: AsJSON = False) -> None:
    """Everything that changed a person, newest first: by which event, or by whom and why."""
    story = _story(person, account)
    mine, subjects = frozenset({story["account"]}), frozenset({story["id"]})
    wanted = AuditFilter(mine, subjects, with_events=True)
    rows = newest(partial(container().readings.audit.page, wanted), limit=limit)
    columns = ["id", "at", "action", "event_id", "actor", "reason", "before", "after"]
    show([_differing(row) for row in rows] if not json_ else rows, columns, as_json_=json_)


def _differing(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the audit with what differs only."""
    before, after = row["before"] or {}, row["after"] or {}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    was, now = ({n: side[n] for n in names if n in side} for side in (before, after))
    return {**row, "before": was, "after": now}


def _story(person: str, account: str | None) -> dict[str, Any]:
    id_, owner = person_seen(person, account)
    with reading() as connection:
        story = person_story(connection, id_)
    if owner not in (None, story["account"]):
        raise NothingFoundError("person", person)
    return story


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
