"""Dead letters by cause: how many, since when, what is known of them, and what to do about them."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.domains import BELOW
from domain.errors import UsageError
from domain.inbox import Reason
from domain.moments import parse_moment
from domain.permissions import Permission
from domain.replays import Cause, DeadGroup, Selection
from worker.adapters.db.dead_queries import (
    dead_group,
    dead_groups,
    letters_page,
    newest_letters,
    notes_on,
)
from worker.adapters.db.names import connections_of
from worker.adapters.db.uow import database_now
from worker.adapters.idn import to_entry
from worker.web.console.call import Call
from worker.web.console.frame import Frame

PAGE, GROUPS = 50, 100
STATES = ("open", "discarded", "replayed")
FIELDS = ("fingerprint", "reason", "connection", "account", "type", "detail", "domain", "since")
#: What the account's list of domains would have to hold, as the last error tells it.
_HOST = re.compile(r"^domain (\S+) is not ")
#: So much of a note.
LONGEST_NOTE = 2_000


def routes(frame: Frame) -> list[Route]:
    """Groups, one group, letters, and what may be done to them."""
    replays, discards = Permission.REPLAY, Permission.DISCARD
    return [
        frame.page("/dead-letters", _groups),
        frame.page("/dead-letters/group", _group),
        frame.page("/dead-letters/list", _letters),
        frame.form("/dead-letters/note", _note, replays),
        frame.form("/dead-letters/discard", _discard, discards),
        frame.form("/dead-letters/restore", _restore, discards),
        frame.form("/dead-letters/allow", _allow, Permission.CONFIGURE),
    ]


def _groups(call: Call) -> Response:
    told, reason, of = call.text("cause"), call.text("reason"), call.text("connection")
    if of:
        return _letters(call)
    if told and told not in tuple(Cause):
        raise UsageError(f"cause is one of {', '.join(Cause)}, not {told!r}")
    with call.reading() as connection:
        now = database_now(connection)
        found = dead_groups(
            connection, within=call.asker.accounts, cause=Cause(told) if told else None
        )
    if reason:
        found = [one for one in found if one.reason == reason]
    return call.render(
        "dead_letters.html",
        now=now,
        groups=[(one, spark(one.trend)) for one in found[:GROUPS]],
        more=max(len(found) - GROUPS, 0),
        letters=sum(one.count for one in found),
        cause=told,
        reason=reason,
        causes=CAUSES,
    )


#: How a dead letter came to be, in words.
CAUSES = (
    ("", "All"),
    (Cause.FAILED.value, "Failed"),
    (Cause.REFUSED.value, "Refused by a rule"),
    (Cause.NEVER_ATTEMPTED.value, "Never attempted"),
)


def spark(trend: tuple[int, ...]) -> str:
    """The bars of a small chart as one path, 4 wide and at most 22 high each."""
    most = max(trend, default=0)
    if not most:
        return ""
    bars = [(number, max(round(22 * one / most), 1)) for number, one in enumerate(trend) if one]
    return "".join(f"M{5 * number} 22v-{height}h4v{height}z" for number, height in bars)


def _group(call: Call) -> Response:
    fingerprint = call.text("fingerprint")
    within = call.asker.accounts
    with call.reading() as connection:
        now = database_now(connection)
        group = dead_group(connection, fingerprint, within=within)
        examples = newest_letters(connection, fingerprint, within=within)
        notes = notes_on(connection, fingerprint, within=within)
        known = {one["id"]: one for one in connections_of(connection, within)}
    return call.render(
        "dead_group.html",
        now=now,
        group=group,
        trend=spark(group.trend),
        examples=examples,
        notes=notes,
        known=known,
        missing=_missing(group, examples, known),
    )


def _missing(
    group: DeadGroup, examples: list[dict[str, Any]], known: dict[str, dict[str, Any]]
) -> list[tuple[str, str, str]]:
    """Domains whose absence these letters died of: domain, id and name of the account (E4)."""
    if group.reason != Reason.DOMAIN_NOT_ALLOWED:
        return []
    found: dict[tuple[str, str], str] = {}
    for letter in examples:
        host, of = _HOST.match(letter["last_error"]), known.get(letter["connection_id"] or "")
        if host is not None and of is not None:
            found[host[1], of["account_id"]] = of["account"]
    return [(domain, account, name) for (domain, account), name in found.items()]


def selection_asked(call: Call, now: Any) -> Selection:
    """What the fields of a page or form select; raises UsageError."""
    told = {name: call.text(name) or None for name in FIELDS}
    since, domain = told["since"], told["domain"]
    return Selection(
        ids=_ids(call.text("ids", longest=20_000)),
        account=told["account"],
        connection=told["connection"],
        reason=told["reason"],
        fingerprint=told["fingerprint"],
        type=told["type"],
        detail=told["detail"],
        domain=to_entry(domain) if domain else None,
        since=parse_moment(since, now) if since else None,
    )


def _ids(text: str) -> tuple[int, ...]:
    """Numbers of events between commas; d and a number for a foreign message is below zero."""
    found = []
    for one in filter(None, text.split(",")):
        digits = one.removeprefix("d")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):  # noqa: PLR2004 - of a bigint
            raise UsageError(f"{one!r} is no id of a dead letter")
        found.append(-int(digits) if one.startswith("d") else int(digits))
    return tuple(found)


def _letters(call: Call) -> Response:
    state = call.text("state") or "open"
    if state not in STATES:
        raise UsageError(f"state is one of {', '.join(STATES)}, not {state!r}")
    after = call.number("after") or 0
    asked = {name: call.text(name) for name in FIELDS}
    with call.reading() as connection:
        now = database_now(connection)
        wanted = selection_asked(call, now)
        found, end = letters_page(
            connection, wanted, within=call.asker.accounts, state=state, after=after, limit=PAGE
        )
        known = {one["id"]: one for one in connections_of(connection, call.asker.accounts)}
    here = "/dead-letters/list"
    return call.render(
        "dead_list.html",
        now=now,
        letters=found,
        known=known,
        asked=asked,
        is_asked=any(asked.values()),
        state=state,
        states=STATES,
        reasons=tuple(Reason),
        more=call.link(here, **asked, state=state, after=end) if end else None,
        first=call.link(here, **asked, state=state) if after else None,
    )


def _note(call: Call) -> Response:
    fingerprint = call.text("fingerprint")
    call.parts.replays.notes.add(fingerprint, call.text("note", longest=LONGEST_NOTE), call.asker)
    return call.done(call.link("/dead-letters/group", fingerprint=fingerprint), "Noted.")


def _chosen(call: Call) -> tuple[int, ...]:
    if not (ids := _ids(call.text("ids", longest=20_000))):
        raise UsageError("tick the dead letters that you mean")
    return ids


def _discard(call: Call) -> Response:
    moved = call.parts.replays.discards.discard(_chosen(call), call.asker, reason=call.reason())
    told = f"Discarded: {len(moved):,}. They are kept, and can be restored."
    return call.done("/dead-letters/list?state=discarded", told)


def _restore(call: Call) -> Response:
    moved = call.parts.replays.discards.restore(_chosen(call), call.asker, reason=call.reason())
    return call.done("/dead-letters/list", f"Restored: {len(moved):,}.")


def _allow(call: Call) -> Response:
    """Allow a domain, and plan the replay of exactly what was refused for want of it (E4)."""
    account, entry = call.text("account"), to_entry(call.text("domain"))
    call.asker.check_account("account", account, account)
    reason = call.reason()
    with call.setup(Permission.CONFIGURE) as use:
        found = use.account(account)
        use.allow_domain(found["id"], entry, reason=reason)
    to = call.link("/dead-letters/list", account=found["id"], domain=entry)
    below = " and below" if entry.startswith(BELOW) else ""
    told = f"{entry.removeprefix(BELOW)}{below} is allowed for {found['name']}. Replay these now."
    return call.done(to, told)
