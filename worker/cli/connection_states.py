"""`rosterd connection pause|resume|retire`: for a while, again, for good (C2, C7)."""

from __future__ import annotations

from dataclasses import asdict

from domain.errors import RefusedError
from worker.cli.farewell import tell_farewell
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out
from worker.cli.reasons import Reason, Why
from worker.cli.session import container, setup


def pause(connection: str, reason: Why) -> None:
    """Hold everything that comes, until resumed (C2)."""
    with setup() as use:
        held = use.set_connection_state(use.connection(connection), "paused", reason=reason)
    out.print(f"paused; {held} open events are held, and whatever comes until you resume")


def resume(connection: str, reason: Reason = "") -> None:
    """Apply what was held, and everything from now on (C2)."""
    with setup() as use:
        found = use.connection(connection)
        if found["state"] == "observing":
            raise RefusedError(
                f"connection {found['name']} is observing: `rosterd connection plan` shows what it "
                "would do, `rosterd connection go-live` does it"
            )
        released = use.set_connection_state(found, "active", reason=reason)
    out.print(f"active; {released} held events go on")


def retire(
    connection: str,
    reason: Why,
    dry_run: DryRun = False,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """Turn provisioning off for good: nobody is suspended, nobody is mailed (C7)."""
    with setup() as use:
        found = use.connection(connection)
        told = use.farewell(found)
    if not json_:
        tell_farewell(found["name"], told, dry_run=dry_run)
    if dry_run:
        if json_:
            print(as_json({"connection": found["id"], "dry_run": True, **asdict(told)}))
        return
    ask(f"retire connection {found['name']} for good?", yes=yes)
    container().reading.end_subscriptions(found["id"])
    with setup() as use:
        told = use.retire_connection(use.connection(found["id"]), reason=reason)
    if json_:
        print(as_json({"connection": found["id"], "dry_run": False, **asdict(told)}))
        return
    out.print(f"retired: {found['id']}")
