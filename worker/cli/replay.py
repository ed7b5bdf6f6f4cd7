"""`rosterd dead replay`: plan it, start it, watch it, stop it."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated

import typer
from rich.progress import Progress

from domain.errors import UsageError
from domain.replays import Selection, Started
from worker.adapters.db.event_queries import list_events
from worker.adapters.db.replaying import SQLReplays
from worker.cli.dead_letters import (
    Account,
    Attached,
    Detail,
    Domain,
    Fingerprint,
    Ids,
    ReasonCode,
    Since,
    Type,
    Why,
    selection_of,
)
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, err, out, show
from worker.cli.session import actor, container, narrowed, reading
from worker.services.replay import Prediction


def replay(  # noqa: PLR0913, PLR0917 - one option per filter
    ids: Ids = None,
    account: Account = None,
    connection: Attached = None,
    reason_code: ReasonCode = None,
    fingerprint: Fingerprint = None,
    type_: Type = None,
    detail: Detail = None,
    domain: Domain = None,
    since: Since = None,
    reason: Why = "",
    rate: Annotated[str | None, typer.Option(help="20/s, 600/m; default: at once.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Annotated[float, typer.Option(help="Seconds to watch it; 0 to leave at once.")] = 60.0,
    cancel: Annotated[str | None, typer.Option(help="Cancel a replay by its id.")] = None,
    json_: AsJSON = False,
) -> None:
    """Try again, by the same rules as live traffic."""
    if cancel is not None:
        owner, _ = narrowed(account, None)
        gone = SQLReplays(container().database).cancel(cancel, actor=actor(), account=owner)
        out.print(f"cancelled; {gone} events are dead again")
        return
    wanted = selection_of(
        ids, account, connection, reason_code, fingerprint, type_, detail, since, domain
    )
    use = container().replay
    if dry_run:
        _show_plan(use.predict(wanted), as_json_=json_)
        return
    if not reason.strip():
        raise UsageError("a replay needs a --reason for the audit")
    count = len(use.choose(wanted))
    if not json_:
        ask(f"replay {count} dead letters?", yes=yes or not out.is_terminal)
    started, outcomes = run(wanted, reason=reason, rate=rate, wait=wait, is_quiet=json_)
    if json_:
        done = {"replay": started.id, "count": len(started.ids), "ids": started.ids, **outcomes}
        print(as_json(done))
        return
    tell(started, outcomes)


def run(
    wanted: Selection, *, reason: str, rate: str | None, wait: float, is_quiet: bool = False
) -> tuple[Started, dict[str, int]]:
    """Start a replay and watch it; what has become of its events so far, counted."""
    started = container().replay.start(wanted, actor=actor(), reason=reason, rate=rate)
    container().ringer.stop()
    return started, _watch(started, wait, is_quiet=is_quiet)


def tell(started: Started, outcomes: dict[str, int]) -> None:
    """One line on a replay."""
    told = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    out.print(f"replay {started.id}: {len(started.ids)} events; {told or 'under way'}")


def _show_plan(plan: list[Prediction], *, as_json_: bool) -> None:
    rows = [
        {
            "id": p.result.event.id,
            "type": p.result.event.type,
            "would_be": (p.result.outcome or p.result.state).value,
            "reason": p.result.reason.value if p.result.reason else "",
            "detail": p.result.detail,
            "superseded_by": p.result.superseded_by,
            "changes": "; ".join(
                f"{e.before.state.value + ' ' + e.before.email if e.before else 'nobody'}"
                f" -> {e.after.state.value} {e.after.email}"
                for e in p.effects
            ),
        }
        for p in plan
    ]
    show(rows, list(rows[0]), as_json_=as_json_)
    if not as_json_:
        counts = Counter(str(row["would_be"]) for row in rows)
        out.print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
        out.print("nothing was changed")


def _watch(started: Started, seconds: float, *, is_quiet: bool) -> dict[str, int]:
    """Watch until all have been tried; Ctrl-C leaves the replay running."""
    deadline = time.monotonic() + seconds
    outcomes: dict[str, int] = {}
    with Progress(console=err, disable=is_quiet or not err.is_terminal) as progress:
        bar = progress.add_task("replaying", total=len(started.ids))
        try:
            while time.monotonic() < deadline:
                outcomes, left = _progress(started)
                progress.update(bar, completed=len(started.ids) - left)
                if left == 0:
                    break
                time.sleep(0.2)
        except KeyboardInterrupt:
            out.print(f"it goes on; stop it with: rosterd dead replay --cancel {started.id}")
    return outcomes


def _progress(started: Started) -> tuple[dict[str, int], int]:
    with reading() as open_:
        rows = list_events(
            open_,
            equals={"replay_id": started.id},
            since=None,
            until=None,
            limit=len(started.ids),
        )
    counts = Counter(row["outcome"] or row["state"] for row in rows)
    left = sum(1 for row in rows if row["state"] in ("pending", "retrying"))
    return dict(counts), left
