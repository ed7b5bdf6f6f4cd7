"""What is read at identity providers: access, the log, reconciliations and what differs (D18)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.permissions import Permission
from domain.reconciliation import Order, Phase, Purpose
from domain.reconciling import Wait, What
from worker.adapters.db.directory_rows import reads
from worker.adapters.db.reading_gauges import caught_up
from worker.adapters.db.reconciliation_queries import differences_of, run_seen, runs_of
from worker.adapters.db.setup import SQLSetup
from worker.web.console.call import Call
from worker.web.console.connections import known
from worker.web.console.frame import Frame, Live

PAGE = 100
#: Things that are read and held against each other, in this order.
THINGS = ("user", "group", "membership")
#: What a run is at: said of it while it is under way.
PHASES = {
    Phase.PEOPLE: "reading people",
    Phase.GROUPS: "reading groups",
    Phase.MEMBERS: "reading memberships",
    Phase.PROOF: "finding out whether the lists are complete",
    Phase.CONFIRMING: "asking for whoever is missing, one by one",
    Phase.APPLYING: "saying what differs as events",
}
WAITS = {
    Wait.NEWER: "the provider spoke of it after it was read",
    Wait.UNENDED: "an event about it has not ended",
    Wait.DEAD: "an event about it is a dead letter",
    Wait.NO_ADDRESS: "the provider has no address of theirs",
    Wait.DELETED: "deleted for good here",
    Wait.UNASKABLE: "called by what is none of the provider's ids: it cannot be asked after them",
    Wait.FOUND_AFTER_ALL: "not in the list, and there when asked for by name",
    Wait.SCIM: "active there, out by a word here: only its SCIM feed lets them in again",
    Wait.UNPROVEN: "the list proves nothing of who is missing in it",
}


def routes(frame: Frame) -> list[Route]:
    """What is read for a connection, one reconciliation, and its course."""
    here = "/connections/{id}/reading"
    of_one = Live(here, f"{here}/stream", "reading.html", "reading_part.html", _fields)
    run = Live(
        "/reconciliations/{id}",
        "/reconciliations/{id}/stream",
        "reconciliation.html",
        "reconciliation_part.html",
        _run_fields,
    )
    sets_up = Permission.CONFIGURE
    return [
        *frame.live(of_one),
        frame.form("/connections/{id}/reconciliations", _begin, sets_up),
        *frame.live(run),
        frame.form("/reconciliations/{id}/cancel", _cancel, sets_up),
    ]


def _fields(call: Call) -> dict[str, Any]:
    found = known(call)
    with call.reading() as connection:
        access = _access(call, connection, found["id"])
        log = caught_up(connection, found["id"])
        return {
            "of": found,
            "access": access,
            "questions": _open_questions(connection, found["id"]),
            "log": log[0] if log else None,
            "runs": runs_of(connection, found["id"]),
            "whats": What,
            "total": _total,
        }


def _access(call: Call, connection: Connection, of: str) -> dict[str, Any] | None:
    try:
        return SQLSetup(connection, call.parts.vault, actor=call.asker.name).access_shown(of)
    except NothingFoundError:
        return None


def _open_questions(connection: Connection, of: str) -> int:
    mine = (reads.c.connection_id == of) & reads.c.due_at.is_not(None)
    return connection.scalar(select(func.count()).select_from(reads).where(mine)) or 0


def _total(counts: dict[str, int], what: What) -> int:
    return sum(counts.get(f"{thing}.{what.value}", 0) for thing in THINGS)


def _begin(call: Call) -> Response:
    """Read once; a run that mends goes through the breaker like whatever a provider says."""
    found, applies = known(call), bool(call.text("mend"))
    if found["state"] == "retired":
        raise RefusedError(f"connection {found['name']} is retired: nothing is read for it")
    order = Order(Purpose.RECONCILE, applies, call.asker.name, call.reason())
    run = call.parts.reading.reconcile.begin(found["id"], order)
    return call.done(f"/reconciliations/{run}", "Begun. It goes on whether you look or not.")


def _run_fields(call: Call) -> dict[str, Any]:
    id_, what = call.part("id"), call.text("what")
    if what and what not in list(What):
        raise UsageError(f"what: any of {', '.join(What)}")
    after = call.number("after")
    with call.reading() as connection:
        seen = run_seen(connection, id_, within=call.asker.accounts)
        found, end = differences_of(
            connection,
            id_,
            what=What(what) if what else None,
            after=-1 if after is None else after,
            limit=PAGE,
        )
    here = f"/reconciliations/{id_}"
    return {
        "run": seen,
        "phase": PHASES.get(Phase(seen.phase), "holding what was read against what is here"),
        "differences": [{**one, "why": WAITS.get(one["why"], "")} for one in found],
        "whats": What,
        "things": THINGS,
        "what": what,
        "total": _total,
        "more": call.link(here, what=what, after=end) if end else None,
        "first": call.link(here, what=what) if after is not None else None,
    }


def _cancel(call: Call) -> Response:
    run = call.part("id")
    with call.reading() as connection:
        run_seen(connection, run, within=call.asker.accounts)
    is_ended = call.parts.reading.runs.cancel(run, actor=call.asker.name, reason=call.reason())
    told = "Cancelled: nothing more is read or said." if is_ended else "It was over already."
    return call.done(f"/reconciliations/{run}", told)
