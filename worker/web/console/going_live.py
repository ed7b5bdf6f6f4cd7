"""From observing to live: what a connection would do, shown first, and then done as shown (S4)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.connecting import parse_scope
from domain.errors import RefusedError, UsageError
from domain.inbox import Kind, Lane
from domain.observing import VERBS, Person, differences, sentence
from domain.permissions import Permission
from domain.policy import Scope
from worker.adapters.db.observing_setup import is_scoped
from worker.adapters.sources.registry import SOURCES
from worker.web.console.call import Call
from worker.web.console.connections import known
from worker.web.console.frame import Frame

#: People of a plan who are named on its page.
NAMED = 200


def routes(frame: Frame) -> list[Route]:
    """The plan is made by a form, since it takes a while; going live names the plan."""
    sets_up = Permission.CONFIGURE
    return [
        frame.form("/connections/{id}/plan", _plan, sets_up),
        frame.form("/connections/{id}/go-live", _go_live, sets_up),
    ]


def _observing(call: Call) -> dict[str, Any]:
    found = known(call)
    if found["state"] != "observing":
        raise RefusedError(
            f"connection {found['name']} is {found['state']}: only one that observes has a plan"
        )
    return found


def _scope(found: dict[str, Any], text: str) -> Scope | None:
    return parse_scope(text, needs_scope=False, source=found["source"]) if text else None


def _plan(call: Call) -> Response:
    found, text = _observing(call), call.text("scope")
    named: list[Person] = []

    def tell(person: Person) -> None:
        if len(named) < NAMED:
            named.append(person)

    made = call.parts.observe.plan(found["id"], scope=_scope(found, text), tell=tell)
    with call.setup(Permission.CONFIGURE) as use:
        kept = use.keep_plan(found, made, text or None)
    return call.render(
        "plan.html",
        of=found,
        plan=made,
        kept=kept,
        scope=text,
        says=sentence(made.as_dict()),
        named=named,
        verbs=VERBS,
    )


def _go_live(call: Call) -> Response:
    found, reason = _observing(call), call.reason()
    with call.setup(Permission.CONFIGURE) as use:
        kept = use.kept_plan(found, call.text("plan"))
    wanted = _scope(found, kept.scope or "")
    if SOURCES[found["source"]].needs_scope and wanted is None and not is_scoped(found):
        raise UsageError(
            f"source {found['source']} speaks of a whole organisation: make a plan with a scope, "
            "which says whom to provision"
        )
    made = call.parts.observe.plan(found["id"], scope=wanted)
    if changed := differences(kept.summary, made.as_dict()):
        raise RefusedError(
            f"more came in since the plan was shown: {'; '.join(changed)}. Make it again, and go "
            "live with that one"
        )
    with call.setup(Permission.CONFIGURE) as use:
        count = use.go_live(found, scope=wanted, plan=kept.id, reason=reason)
    call.parts.ringer.ring(Kind.SORT, Lane.BULK.value, connection=found["id"], event_ids=())
    told = f"Live: {count:,} observed events are applied behind all live traffic."
    return call.done(f"/connections/{found['id']}", told)
