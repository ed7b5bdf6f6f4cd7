"""`rosterd dead replay`: plan, ask, start, watch."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from domain.errors import UsageError
from domain.replays import Order, Selection, parse_pace
from worker.adapters.db.replay_queries import items_page
from worker.cli.dead_letters import (
    Account,
    Attached,
    Detail,
    Domain,
    Fingerprint,
    Ids,
    Ramp,
    Rate,
    ReasonCode,
    Since,
    StopAt,
    Type,
    Wait,
    selection_of,
)
from worker.cli.output import AsJSON, DryRun, Yes, agrees, as_json, out, show
from worker.cli.reasons import Reason
from worker.cli.replay_watch import planned, started, tell, tell_plan, watch
from worker.cli.session import asker, container, narrowed, reading
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
    reason: Reason = "",
    rate: Rate = None,
    ramp: Ramp = False,
    stop_at: StopAt = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = 60.0,
    cancel: Annotated[str | None, typer.Option(help="Cancel a replay by its id.")] = None,
    json_: AsJSON = False,
) -> None:
    """Try again, by the same rules as live traffic: decided beforehand, then at a pace."""
    if cancel is not None:
        gone = container().replay.cancel(cancel, asker(narrowed(account, None)[0]), reason=reason)
        out.print(f"cancelled; {gone} events are dead again")
        return
    wanted = selection_of(
        ids, account, connection, reason_code, fingerprint, type_, detail, since, domain
    )
    if dry_run:
        _show_predictions(container().replay.predict(wanted), as_json_=json_)
        return
    order = Order(reason, parse_pace(rate, has_ramp=ramp, stop_at=stop_at))
    order.check()
    carry_out(wanted, order, yes=yes, wait=wait, json_=json_)


def carry_out(wanted: Selection, order: Order, *, yes: bool, wait: float, json_: bool) -> None:
    """Plan, ask whether that is meant, start exactly that, watch."""
    who = asker()
    plan = planned(wanted, who, is_quiet=json_)
    if not json_:
        tell_plan(plan)
        if not agrees(f"replay {plan.count} dead letters?", yes=yes):
            container().replay.cancel(plan.id, who, reason="not carried out")
            raise typer.Exit(1)
    started(plan.id, order, who)
    now = watch(plan.id, wait, is_quiet=json_)
    if not json_:
        tell(now)
        return
    with reading() as sql:
        items, _ = items_page(sql, plan.id, limit=plan.count)
    told = {"replay": plan.id, "count": plan.count, "ids": [item.event for item in items]}
    print(as_json({**told, "state": now.state, **now.counts}))


def insist_on_reason(reason: str) -> None:
    """Raise UsageError where nothing is given."""
    if not reason.strip():
        raise UsageError("say why with --reason; it stands in the audit")


def _show_predictions(plan: list[Prediction], *, as_json_: bool) -> None:
    rows = [
        {
            "id": p.result.event.id,
            "type": p.result.event.type,
            "would_be": p.outcome,
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
    show(rows, list(rows[0]) if rows else [], as_json_=as_json_)
    if not as_json_:
        counts = Counter(str(row["would_be"]) for row in rows)
        out.print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
        out.print("nothing was changed")
