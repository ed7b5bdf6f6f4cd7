"""Audit: who did what to whom, why, and what it was before and after."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from domain.keys import group_known_as
from domain.moments import parse_moment
from worker.adapters.db.audit_search import AuditFilter, audit_page
from worker.adapters.db.uow import database_now
from worker.web.console.call import Call
from worker.web.console.frame import Frame

PAGE = 50
FIELDS = ("actor", "action", "subject", "since", "until", "which")


def routes(frame: Frame) -> list[Route]:
    """The list."""
    return [frame.page("/audit", _audit)]


def _audit(call: Call) -> Response:
    asked = {name: call.text(name) for name in FIELDS}
    before = call.number("before")
    with call.reading() as connection:
        now = database_now(connection)
        since, until = (
            parse_moment(asked[name], now) if asked[name] else None for name in ("since", "until")
        )
        wanted = AuditFilter(
            accounts=call.asker.accounts,
            subject=group_known_as(asked["subject"]) or None,
            actor=asked["actor"] or None,
            action=asked["action"] or None,
            since=since,
            until=until,
            by_people=asked["which"] != "all" and not asked["subject"],
            before=before,
        )
        page = audit_page(connection, wanted, limit=PAGE)
    return call.render(
        "audit.html",
        now=now,
        page=page,
        asked=asked,
        is_asked=any(asked.values()),
        older=call.link("/audit", **asked, before=page.after) if page.after else None,
        first=call.link("/audit", **asked) if before else None,
    )
