"""Holds: what a tripped breaker keeps back, whom it would change, and the answer to it (C6)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.breaker import Released
from domain.errors import NothingFoundError, UsageError
from domain.permissions import Permission
from worker.adapters.db.holding import SQLHolds
from worker.web.console.call import Call
from worker.web.console.frame import Frame

#: Events of a hold that are named, and holds that are listed.
NAMED, LISTED = 100, 50


def routes(frame: Frame) -> list[Route]:
    """The list, one hold, and the answers."""
    answers = Permission.HOLD_ANSWER
    return [
        frame.page("/holds", _holds),
        frame.page("/holds/{id}", _hold),
        frame.form("/holds/{id}/approve", _approve, answers),
        frame.form("/holds/{id}/reject", _reject, answers),
        frame.form("/holds/{id}/raise", _raise, answers),
    ]


def _store(call: Call) -> SQLHolds:
    return SQLHolds(call.parts.database)


def _holds(call: Call) -> Response:
    shows_all = call.text("show") == "all"
    found, _ = _store(call).page(
        call.asker.accounts, connection=None, is_open=not shows_all, limit=LISTED
    )
    return call.render("holds.html", holds=found, shows_all=shows_all)


def _known(call: Call, *, limit: int) -> dict[str, Any]:
    """The hold, if it is there for whoever asks; raises NothingFoundError."""
    id_ = call.part("id")
    found = _store(call).show(id_, limit=limit)
    if not call.asker.may_see(found["account_id"]):
        raise NothingFoundError("hold", id_)
    return found


def _hold(call: Call) -> Response:
    return call.render("hold.html", hold=_known(call, limit=NAMED), named=NAMED)


def _approve(call: Call) -> Response:
    hold = _known(call, limit=0)["id"]
    done = _store(call).approve(hold, actor=call.asker.name, reason=call.reason())
    _ring(call, done.kinds)
    undid = f" It takes back an answer: the hold was {done.undid}" if done.undid else ""
    return call.done(f"/holds/{hold}", f"Approved: {done.events:,} events go on.{undid}")


def _reject(call: Call) -> Response:
    hold = _known(call, limit=0)["id"]
    done = _store(call).reject(hold, actor=call.asker.name, reason=call.reason())
    told = f"Rejected: {done.events:,} events are discarded, and what they say stays out."
    return call.done(f"/holds/{hold}", told)


def _raise(call: Call) -> Response:
    hold = _known(call, limit=0)["id"]
    limit = call.number("to")
    if limit is None:
        raise UsageError("say how many people the connection may change in this window")
    done = _store(call).raise_once(hold, to=limit, actor=call.asker.name, reason=call.reason())
    _ring(call, done.kinds)
    told = f"The limit is {limit:,} for one window: {done.events:,} events are tried again."
    return call.done(f"/holds/{hold}", told)


def _ring(call: Call, kinds: Released) -> None:
    for kind, lane in kinds:
        call.parts.ringer.ring(kind, lane.value, connection="", event_ids=())
