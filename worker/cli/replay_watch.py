"""A replay from the plan to its end, as a terminal shows it; the workers do it, not the command."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from domain.permissions import Asker
from domain.replays import Order, ReplaySeen, ReplayState, Selection, parse_pace
from worker.adapters.db.replay_queries import replay_seen, report_of
from worker.cli.output import err, out
from worker.cli.session import container, reading

#: Between two looks, in seconds.
LOOK_SECONDS = 0.25
AT_WORK = (ReplayState.PLANNING, ReplayState.RUNNING)


def seen(replay: str) -> ReplaySeen:
    """The replay as it is."""
    with reading() as sql:
        return replay_seen(sql, replay)


def planned(selection: Selection, asker: Asker, *, is_quiet: bool) -> ReplaySeen:
    """Freeze a selection and predict every event of it here: no worker is needed for a plan."""
    use = container().replay
    replay = use.plan(selection, asker)
    with _bar(is_quiet=is_quiet) as bar:
        task = bar.add_task("deciding", total=seen(replay).count, told="")
        while not use.plan_on(replay):
            bar.update(task, completed=sum(f.events for f in seen(replay).foretold))
        bar.update(task, completed=seen(replay).count)
    return seen(replay)


def run(
    selection: Selection, *, asker: Asker, reason: str, rate: str | None, wait: float
) -> ReplaySeen:
    """Plan, start and watch without a question."""
    order = Order(reason, parse_pace(rate))
    order.check()
    plan = planned(selection, asker, is_quiet=False)
    started(plan.id, order, asker)
    return watch(plan.id, wait, is_quiet=False)


def started(replay: str, order: Order, asker: Asker) -> None:
    """Carry a plan out."""
    container().replay.start_plan(replay, order, asker)
    container().ringer.stop()


def watch(replay: str, seconds: float, *, is_quiet: bool) -> ReplaySeen:
    """Look until it is over, paused or stopped, or the time is up; Ctrl-C ends the looking."""
    deadline = time.monotonic() + seconds
    now = seen(replay)
    with _bar(is_quiet=is_quiet) as bar:
        task = bar.add_task("replaying", total=now.count, told=pace_told(now))
        try:
            while now.state in AT_WORK and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
                now = seen(replay)
                bar.update(task, completed=now.done, told=pace_told(now))
        except KeyboardInterrupt:
            out.print(
                f"it goes on: rosterd replay show {replay} --watch; "
                f"rosterd replay pause {replay}, or rosterd replay cancel {replay}"
            )
    return now


def pace_told(now: ReplaySeen) -> str:
    """How fast it is, and how long it goes on."""
    if now.started_at is None:
        return ""
    since = (now.at - now.started_at).total_seconds()
    told = f"{now.done / since:,.0f}/s" if since > 0 else ""
    left = now.seconds_left
    return told if left is None else f"{told}, {_clock(left)} left"


def tell(now: ReplaySeen) -> None:
    """One line on a replay, and what it needs of an operator."""
    told = counted(now.counts)
    out.print(f"replay {now.id}: {now.count} events; {now.state}: {told}")
    if now.why:
        out.print(f"  {now.why}")
    if now.waits_for:
        out.print(f"  waits for paused connections: {', '.join(now.waits_for)}")
    if now.state is ReplayState.STOPPED:
        out.print(f"  look into it, then: rosterd replay resume {now.id} --reason WHY, or cancel")
    elif now.state is ReplayState.FINISHED:
        _tell_report(now.id)
    elif now.state in AT_WORK:
        out.print(f"  it goes on: rosterd replay show {now.id} --watch")


def _tell_report(replay: str) -> None:
    with reading() as sql:
        report = report_of(sql, replay)
    if report.otherwise:
        out.print(
            f"  {report.as_predicted} as predicted, {report.otherwise} otherwise: "
            f"rosterd replay show {replay} --report"
        )


def tell_plan(plan: ReplaySeen) -> None:
    """What would become of the events."""
    for one in plan.foretold:
        because = f"({one.reason})" if one.reason else ""
        does = f": {one.does}" if one.does else ""
        out.print(f"  {one.events:>8,} {one.outcome}{because}{does}")


def counted(counts: Mapping[str, int]) -> str:
    """`12 applied, 3 dead`."""
    order: Sequence[str] = sorted(counts, key=lambda name: (-counts[name], name))
    return ", ".join(f"{counts[name]:,} {name}" for name in order) or "nothing yet"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(*, is_quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        console=err,
        disable=is_quiet or not err.is_terminal,
    )
