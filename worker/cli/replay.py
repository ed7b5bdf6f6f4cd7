"""`rosterd replay`: plans, and replays under way or over (G8)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from domain.replays import Order, ReplaySeen, ReplayState, Report, parse_pace, parse_pace_change
from worker.adapters.db.replay_queries import items_page, replay_seen, replays_page, report_of
from worker.cli.dead_letters import (
    Account,
    Attached,
    Detail,
    Domain,
    Fingerprint,
    Ids,
    Ramp,
    RampOrNot,
    Rate,
    ReasonCode,
    Since,
    StopAt,
    Type,
    Wait,
    selection_of,
)
from worker.cli.options import Limit, word
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show
from worker.cli.reasons import Reason, Why
from worker.cli.replay_watch import counted, planned, started, tell, tell_plan, watch
from worker.cli.session import asker, container, narrowed, reading

app = typer.Typer(no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="Id of the replay.")]


@app.command("list")
def list_(
    account: Account = None,
    state: Annotated[
        list[ReplayState] | None, word(ReplayState, "--state", "Any of these.")
    ] = None,
    limit: Limit = 100,
    json_: AsJSON = False,
) -> None:
    """The newest first."""
    within = asker(narrowed(account, None)[0]).accounts
    states = [one.value for one in state or []]
    with reading() as sql:
        found, _ = replays_page(sql, within=within, states=states, limit=limit)
    rows = [{**one.as_dict(), "became": counted(one.counts)} for one in found]
    show(rows, ["id", "made_at", "state", "count", "became", "reason"], as_json_=json_)


@app.command("show")
def show_(
    replay: Which,
    account: Account = None,
    items: Annotated[bool, typer.Option("--items", help="Event by event.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="What was predicted against what became.")
    ] = False,
    look: Annotated[bool, typer.Option("--watch", help="Until it is over.")] = False,
    json_: AsJSON = False,
) -> None:
    """Where it is, what was predicted, what became of it."""
    now = _known(replay, account)
    if look:
        now = watch(replay, float("inf"), is_quiet=json_)
    with reading() as sql:
        told = report_of(sql, replay)
        listed = items_page(sql, replay, limit=now.count)[0] if items else []
    rows = [asdict(item) for item in listed]
    if json_:
        more = {"items": rows} if items else {}
        print(as_json({**now.as_dict(), "report": _as_dict(told), **more}))
        return
    tell(now)
    _tell_order(now)
    tell_plan(now)
    if report:
        _tell_report(told)
    if items:
        show(rows, ["event", "state", "predicted", "does", "outcome", "reason"], as_json_=False)


@app.command("plan")
def plan(  # noqa: PLR0913, PLR0917 - one option per filter
    ids: Ids = None,
    account: Account = None,
    connection: Attached = None,
    reason_code: ReasonCode = None,
    fingerprint: Fingerprint = None,
    type_: Type = None,
    detail: Detail = None,
    domain: Domain = None,
    since: Since = None,
    json_: AsJSON = False,
) -> None:
    """Freeze dead letters, decide each of them for real, keep what would become of them."""
    wanted = selection_of(
        ids, account, connection, reason_code, fingerprint, type_, detail, since, domain
    )
    made = planned(wanted, asker(), is_quiet=json_)
    if json_:
        print(as_json(made.as_dict()))
        return
    tell_plan(made)
    out.print(f"plan {made.id}, of {made.count:,} dead letters; none of them was changed")
    out.print(f"to do exactly this: rosterd replay start {made.id} --reason WHY")


@app.command("start")
def start(
    replay: Which,
    reason: Why,
    account: Account = None,
    rate: Rate = None,
    ramp: Ramp = False,
    stop_at: StopAt = None,
    wait: Wait = 60.0,
    json_: AsJSON = False,
) -> None:
    """Carry a plan out: what was shown is what is acted on."""
    _known(replay, account)
    order = Order(reason, parse_pace(rate, has_ramp=ramp, stop_at=stop_at))
    started(replay, order, asker())
    _watched(replay, wait, json_=json_)


@app.command("pause")
def pause(replay: Which, reason: Reason = "", account: Account = None) -> None:
    """Try nothing more for now; what is in hand ends."""
    _known(replay, account)
    container().replay.pause(replay, asker(), reason=reason)
    out.print(f"replay {replay} is paused: rosterd replay resume {replay}")


@app.command("resume")
def resume(
    replay: Which,
    reason: Reason = "",
    account: Account = None,
    rate: Rate = None,
    ramp: RampOrNot = None,
    stop_at: StopAt = None,
    wait: Wait = 60.0,
    json_: AsJSON = False,
) -> None:
    """Go on: what is said of the pace is changed, what is not stays; a ramp begins anew."""
    _known(replay, account)
    change = parse_pace_change(rate, has_ramp=ramp, stop_at=stop_at)
    container().replay.resume(replay, asker(), reason=reason, change=change)
    container().ringer.stop()
    _watched(replay, wait, json_=json_)


@app.command("cancel")
def cancel(
    replay: Which,
    reason: Reason = "",
    account: Account = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Try nothing more, for good: what was not tried stays dead."""
    now = _known(replay, account)
    if dry_run:
        out.print(f"would leave {now.left} dead")
        return
    ask(f"leave {now.left} dead?", yes=yes)
    gone = container().replay.cancel(replay, asker(), reason=reason)
    out.print(f"cancelled; {gone} events are dead again")


def _known(replay: str, account: str | None) -> ReplaySeen:
    owner, _ = narrowed(account, None)
    with reading() as sql:
        return replay_seen(sql, replay, within=asker(owner).accounts)


def _watched(replay: str, wait: float, *, json_: bool) -> None:
    now = watch(replay, wait, is_quiet=json_)
    if json_:
        print(as_json(now.as_dict()))
    else:
        tell(now)


def _tell_order(now: ReplaySeen) -> None:
    told = now.as_dict()
    rate = f"{told['rate']}/s" if told["rate"] else "as fast as it goes"
    ramp = ", in steps of 1, 10, 100 .." if told["ramp"] else ""
    stop = f", stops above {told['stop_percent']} % failed" if told["stop_percent"] else ""
    if now.started_at is not None:
        out.print(f"  {rate}{ramp}{stop}; because: {now.reason}")


def _as_dict(report: Report) -> dict[str, object]:
    rows = [{**asdict(row), "as_predicted": row.is_as_predicted} for row in report.rows]
    return {"as_predicted": report.as_predicted, "otherwise": report.otherwise, "rows": rows}


def _tell_report(report: Report) -> None:
    out.print(f"{report.as_predicted} as predicted, {report.otherwise} otherwise")
    rows = [asdict(row) for row in report.rows]
    columns = ["events", "predicted", "predicted_reason", "outcome", "reason"]
    show(rows, columns, as_json_=False)
