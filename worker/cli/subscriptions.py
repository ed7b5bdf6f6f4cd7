"""`rosterd connection subscriptions`: what brings a connection its webhooks, and until when."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.errors import RefusedError
from worker.adapters.db.subscription_gauges import listed
from worker.adapters.directories.registry import SUBSCRIBABLE
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.reasons import Reason
from worker.cli.session import container, reading, setup

COLUMNS = ["topic", "key", "made_at", "renewed_at", "renew_at", "ends_at"]


def subscriptions(
    connection: str,
    renew: Annotated[bool, typer.Option("--renew", help="Renew them now, and tell.")] = False,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """List the subscriptions at a connection's identity provider; workers renew them in time."""
    with setup() as use:
        found = use.connection(connection)
    if renew:
        _renew(found, reason)
    with reading() as sql:
        told = listed(sql, found["id"])
    if json_:
        print(as_json(told))
        return
    show(told["subscriptions"], COLUMNS, as_json_=False)
    _comment(found, told)


def _renew(connection: dict[str, Any], reason: str) -> None:
    with setup() as use:
        use.renew_subscriptions(use.connection(connection["id"]), reason=reason)
    why = container().reading.subscribe.run(connection["id"])
    if why is not None:
        raise RefusedError(f"the subscriptions of {connection['name']} were not renewed: {why}")


def _comment(connection: dict[str, Any], told: dict[str, Any]) -> None:
    if told["why"]:
        out.print(
            f"not renewed, {told['failures']} times in a row: {told['why']}; tried again at "
            f"{told['looked_after_at']:%Y-%m-%d %H:%M} UTC, or now with --renew",
            markup=False,
        )
    elif not told["subscriptions"]:
        kinds = ", ".join(sorted(SUBSCRIBABLE))
        out.print(
            f"none: workers make them where rosterd has access to the directory (kinds: {kinds}): "
            f"rosterd connection access {connection['name']}",
            markup=False,
        )
