"""Replays: a plan to look at, then started at a pace, watched, paused, and its report."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.pacing import Pace
from domain.permissions import Permission
from domain.replays import ItemState, Order, ReplayState, parse_pace, parse_pace_change
from worker.adapters.db.replay_queries import items_page, replay_seen, replays_page, report_of
from worker.web.console.call import Call
from worker.web.console.dead_letters import selection_asked
from worker.web.console.frame import Frame, Live

PAGE, ITEMS = 50, 50
#: States of items that are no outcome.
UNTRIED = (ItemState.FROZEN.value, ItemState.RELEASED.value, ItemState.CANCELLED.value)


def routes(frame: Frame) -> list[Route]:
    """The list, one replay, and its course."""
    one = Live("/replays/{id}", "/replays/{id}/stream", "replay.html", "replay_part.html", _fields)
    replays = Permission.REPLAY
    return [
        frame.page("/replays", _list),
        frame.form("/replays", _plan, replays),
        *frame.live(one),
        frame.form("/replays/{id}/start", _start, replays),
        frame.form("/replays/{id}/pause", _pause, replays),
        frame.form("/replays/{id}/resume", _resume, replays),
        frame.form("/replays/{id}/cancel", _cancel, replays),
    ]


def _list(call: Call) -> Response:
    after = call.text("after")
    with call.reading() as connection:
        found, end = replays_page(connection, within=call.asker.accounts, after=after, limit=PAGE)
    return call.render(
        "replays.html",
        replays=found,
        more=call.link("/replays", after=end) if end else None,
        first="/replays" if after else None,
    )


def _plan(call: Call) -> Response:
    """Freeze what was chosen; workers predict what becomes of it while the page is looked at."""
    wanted = selection_asked(call, call.now())
    replay = call.parts.replays.replay.plan(wanted, call.asker)
    call.parts.replays.replay.plan_on(replay)
    return call.done(f"/replays/{replay}", "The set is frozen: what comes later is not in it.")


def _fields(call: Call) -> dict[str, Any]:
    id_ = call.part("id")
    with call.reading() as connection:
        seen = replay_seen(connection, id_, within=call.asker.accounts)
        report = report_of(connection, id_)
        after = call.number("after") or 0
        items, end = items_page(connection, id_, after=after, limit=ITEMS)
    here = f"/replays/{id_}"
    return {
        "replay": seen,
        "report": report,
        "became": {k: v for k, v in seen.counts.items() if k not in UNTRIED},
        "percent": round(100 * seen.done / seen.count) if seen.count else 100,
        "items": items,
        "states": ReplayState,
        "more": call.link(here, after=end) if end else None,
        "first": here if after else None,
    }


def _pace(call: Call) -> Pace:
    has_ramp, stop_at = bool(call.text("ramp")), call.text("stop_at") or None
    return parse_pace(call.text("rate") or None, has_ramp=has_ramp, stop_at=stop_at)


def _start(call: Call) -> Response:
    replay = call.part("id")
    call.parts.replays.replay.start_plan(replay, Order(call.reason(), _pace(call)), call.asker)
    return call.done(f"/replays/{replay}", "Started. It goes on whether you look or not.")


def _pause(call: Call) -> Response:
    replay = call.part("id")
    call.parts.replays.replay.pause(replay, call.asker, reason=call.reason())
    return call.done(f"/replays/{replay}", "Paused: nothing more is tried until it is resumed.")


def _resume(call: Call) -> Response:
    replay = call.part("id")
    change = parse_pace_change(call.text("rate") or None)
    call.parts.replays.replay.resume(replay, call.asker, reason=call.reason(), change=change)
    return call.done(f"/replays/{replay}", "It goes on.")


def _cancel(call: Call) -> Response:
    replay = call.part("id")
    count = call.parts.replays.replay.cancel(replay, call.asker, reason=call.reason())
    return call.done(f"/replays/{replay}", f"Cancelled: {count:,} events stay dead letters.")
