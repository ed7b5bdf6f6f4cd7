"""`rosterd connection list-is`: the IdP's full list, held against who is there (S3)."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import RefusedError, UsageError
from domain.values import FUTURE_TOLERANCE, HORIZON
from worker.adapters.db.setup_lists import TakenList
from worker.cli.event import moment
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out
from worker.cli.own_words import ring
from worker.cli.reasons import Reason
from worker.cli.session import setup

#: How many people are named before a yes is asked for.
NAMED = 20


def list_is(
    connection: str,
    file: Annotated[str, typer.Argument(help="One external id a line, or JSON; - for stdin.")],
    count: Annotated[int, typer.Option(help="How many people the IdP says that it has.")],
    reason: Reason = "",
    taken_at: Annotated[
        str | None, typer.Option(help="When the IdP was asked: time, or 10m, 2h ago; default: now.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json_: AsJSON = False,
) -> None:
    """Say that these are all whom the IdP has; suspend_unlisted=on suspends the others."""
    ids = _complete(_read(file), count)
    at = _asked_at(taken_at)
    if not reason.strip() and not dry_run:
        raise UsageError("a list needs a --reason for the audit")
    with setup() as use:
        plan = use.take_list(use.connection(connection), ids, taken_at=at, reason="", dry_run=True)
    if not json_:
        _tell(plan)
    if not dry_run:
        if plan.is_on and plan.compared.missing and not json_:
            ask(f"suspend {len(plan.compared.missing)} people?", yes=yes)
        with setup() as use:
            found = use.connection(connection)
            plan = use.take_list(found, ids, taken_at=at, reason=reason)
        ring(plan.events, found["id"])
    if json_:
        print(as_json(_as_dict(plan, ids)))


def _read(file: str) -> list[str]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not text.lstrip().startswith(("[", "{")):
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON: {error}") from error
    ids = document.get("ids") if isinstance(document, dict) else document
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise UsageError(f'{file} is no list of ids: ["u1", ..] or {{"ids": ["u1", ..]}}')
    return ids


def _complete(ids: list[str], count: int) -> frozenset[str]:
    """The list as a set, once it is known to be whole: half a list would suspend the other half."""
    listed = frozenset(ids)
    if not listed:
        raise RefusedError("an empty list proves nothing: nobody is suspended by it (S3)")
    if len(listed) != len(ids):
        ((twice, _),) = Counter(ids).most_common(1)
        raise UsageError(f"{twice} is in the list twice: it was put together wrongly")
    if len(listed) != count:
        raise UsageError(
            f"the list has {len(listed)} people and --count says {count}: it is not complete"
        )
    return listed


def _asked_at(text: str | None) -> datetime:
    now = datetime.now(UTC)
    at = moment(text) or now
    if at > now + FUTURE_TOLERANCE or at < now - HORIZON:
        raise UsageError(f"--taken-at {at.isoformat()} is not within the last 30 days")
    return at


def _tell(plan: TakenList) -> None:
    done = plan.compared
    verb = "to suspend" if plan.is_on else "left alone (suspend_unlisted is off)"
    out.print(f"{len(done.missing)} not in the list: {verb}{_named(done.missing)}", markup=False)
    if done.newer:
        out.print(
            f"{len(done.newer)} not in the list, but spoken of since it was taken: left alone"
            f"{_named(done.newer)}",
            markup=False,
        )
    if done.returned:
        out.print(f"{len(done.returned)} are back: let in{_named(done.returned)}", markup=False)


def _named(keys: tuple[str, ...]) -> str:
    if not keys:
        return ""
    more = f", and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return f": {', '.join(keys[:NAMED])}{more}"


def _as_dict(plan: TakenList, ids: frozenset[str]) -> dict[str, object]:
    return {
        "listed": len(ids),
        "suspend_unlisted": "on" if plan.is_on else "off",
        "missing": plan.compared.missing,
        "newer": plan.compared.newer,
        "returned": plan.compared.returned,
        "events": [event.id for event in plan.events],
    }
