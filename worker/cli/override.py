"""`rosterd user override|overrides`: for a while an operator outranks the identity provider."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from domain.errors import UsageError
from domain.model import Override
from domain.moments import parse_ahead
from worker.cli.by_hand import Account, Who
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.reasons import Reason
from worker.cli.session import actor, container, person_named, post, setup


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("override")(override)
    app.command("overrides")(overrides)


def moment_ahead(text: str) -> datetime:
    """An ISO 8601 time (UTC unless it says otherwise), or 30m, 8h, 3d from now."""
    return parse_ahead(text, datetime.now(UTC))


def override(
    person: Who,
    wanted: Annotated[str | None, typer.Argument(metavar="active|suspended")] = None,
    until: Annotated[str | None, typer.Option(help="Time, or 8h, 3d from now.")] = None,
    reason: Reason = "",
    end: Annotated[bool, typer.Option("--end", help="End it before its time.")] = False,
    account: Account = None,
    json_: AsJSON = False,
) -> None:
    """U9: keep somebody in or out for a while; then the identity provider's word counts again."""
    id_, owner = person_named(person, account)
    if end:
        if wanted is not None or until is not None:
            raise UsageError("--end takes neither a state nor --until")
        after = container().overrides.end(id_, actor=actor(), reason=reason, account=owner)
    else:
        if wanted is None or wanted not in list(Override):
            raise UsageError(f"override to {wanted!r}: active or suspended (or --end)")
        if until is None:
            raise UsageError("--until is needed: an override ends by itself")
        after = container().overrides.begin(
            id_,
            Override(wanted),
            until=moment_ahead(until),
            actor=actor(),
            reason=reason,
            account=owner,
        )
    post()
    told = after.told or after.state
    if json_:
        shown = {"id": after.id, "state": after.state.value, "without_override": told.value}
        print(as_json(shown))
        return
    out.print(f"{after.id} is {after.state.value}; without an override: {told.value}")


def overrides(
    account: Annotated[str | None, typer.Option(help="Of one account.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over, too.")] = False,
    json_: AsJSON = False,
) -> None:
    """Overrides in force, the newest first."""
    with setup() as use:
        owner = use.account(account)["id"] if account else None
    rows = container().overrides.all(account=owner, with_ended=ended)
    columns = ["person_id", "wanted", "until", "reason", "made_by", "made_at", "ended_at"]
    show(rows, columns, as_json_=json_)
