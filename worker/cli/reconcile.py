"""`rosterd reconcile`: what an IdP's directory and ours differ in, and mending it (D18)."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from domain.errors import RefusedError
from domain.reconciliation import Order, Purpose, RunState
from domain.reconciling import Wait, What
from worker.adapters.db.reconciliation_queries import (
    RunSeen,
    differences_of,
    run_seen,
    runs_of,
)
from worker.cli.options import MOST
from worker.cli.output import AsJSON, Yes, as_json, ask, err, out, show
from worker.cli.progress import progress
from worker.cli.reasons import Reason
from worker.cli.session import actor, container, reading, setup

#: A look at a run that another process is at.
LOOK_SECONDS = 0.25
BUDGET = timedelta(seconds=1)
WHY_WAITING = {
    Wait.NEWER: "the identity provider spoke of it after it was read",
    Wait.UNENDED: "an event about it has not ended",
    Wait.DEAD: "an earlier run's event about it is a dead letter: rosterd dead list",
    Wait.NO_ADDRESS: "the identity provider has no address of theirs",
    Wait.DELETED: "deleted for good here",
    Wait.UNASKABLE: "called by what is none of the provider's ids: it cannot be asked after them",
    Wait.FOUND_AFTER_ALL: "not in the list, and there when asked for by name",
    Wait.SCIM: "active there, out by a word here: only its SCIM feed lets them in again",
    Wait.UNPROVEN: "the list proves nothing of who is missing in it",
}


def register(app: typer.Typer) -> None:
    """The command."""
    app.command("reconcile")(reconcile)


def reconcile(
    connection: str,
    apply: Annotated[
        bool, typer.Option("--apply", help="Mend them by events, through the breaker.")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="Show the last run, read nothing.")] = False,
    reason: Reason = "",
    limit: Annotated[
        int, typer.Option(min=1, max=MOST, help="So many differences are listed.")
    ] = 1_000,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """Read the identity provider's directory and print what differs from ours; a dry run."""
    with setup() as use:
        found = use.connection(connection)
    if apply:
        question = f"mend by events what {found['name']} differs in?"
        ask(question, yes=yes or json_)
    run = _last(found) if last else begun(found["id"], Purpose.RECONCILE, applies=apply, why=reason)
    seen = followed(run, is_quiet=json_)
    with reading() as sql:
        listed, more = differences_of(sql, run, limit=limit)
    if json_:
        print(as_json({**asdict(seen), "differences": listed, "left_off": more is not None}))
    else:
        tell(seen, listed, left_off=more is not None)
    if not last:
        insist_finished(seen)


def _last(connection: dict[str, Any]) -> str:
    with reading() as sql:
        found = runs_of(sql, connection["id"], limit=1)
    if not found:
        raise RefusedError(f"{connection['name']} was never reconciled: leave --last away")
    return found[0].id


def begun(connection: str, purpose: Purpose, *, applies: bool, why: str) -> str:
    """A new run's id; raises RefusedError."""
    order = Order(purpose, applies, actor(), why)
    return container().reading.reconcile.begin(connection, order)


def followed(run: str, *, is_quiet: bool) -> RunSeen:
    """Go on with a run until it is over, or look on where a worker is at it."""
    parts = container()
    with progress("reading", unit="people", is_quiet=is_quiet) as done:
        told = ""
        while not (seen := _seen(run)).is_over:
            done(seen.counts.get("people", 0))
            if seen.why and seen.why != told and not is_quiet:
                told = seen.why
                err.print(f"not answered, it is tried again: {told}")
            if not parts.reading.reconcile.go_on(run, budget=BUDGET):
                time.sleep(LOOK_SECONDS)
    parts.ringer.stop()
    return seen


def _seen(run: str) -> RunSeen:
    with reading() as sql:
        return run_seen(sql, run)


def tell(seen: RunSeen, listed: list[dict[str, Any]], *, left_off: bool) -> None:
    """What was read, what differs, what came of it."""
    counts = seen.counts
    if seen.state != RunState.FINISHED.value:
        out.print(f"{seen.state} while it was at {seen.phase}: {seen.why}")
    out.print(
        f"{seen.id}  {seen.connection_name}: read {counts.get('people', 0):,} people, "
        f"{counts.get('groups', 0):,} groups, {counts.get('members', 0):,} memberships"
    )
    for name, why in seen.doubts.items():
        out.print(f"the list of {name} is not complete, so nobody is taken out by it: {why}")
    for row in listed:
        row["why"] = WHY_WAITING[Wait(row["why"])] if row["why"] else ", ".join(row["fields"])
    if listed:
        show(listed, ["what", "thing", "external_id", "group", "why"], as_json_=False)
    if left_off:
        out.print("and more: --limit lists them")
    totals = ", ".join(f"{total(counts, what):,} {what.value}" for what in What)
    said = counts.get("said", 0)
    out.print(totals)
    if seen.applies:
        out.print(f"{said:,} events are on their way in the bulk lane, through the breaker")
    else:
        out.print("a dry run: nothing was changed; --apply mends it")


def total(counts: dict[str, int], what: What) -> int:
    """Differences of this kind, of people, groups and memberships."""
    return sum(count for name, count in counts.items() if name.endswith(f".{what.value}"))


def insist_finished(seen: RunSeen) -> None:
    """Raises RefusedError where the run did not come to its end."""
    if seen.state != RunState.FINISHED.value:
        raise RefusedError(
            f"{seen.id} of {seen.connection_name} {seen.state} while it was at {seen.phase}: "
            f"{seen.why}"
        )
