"""`rosterd event`: what came in, and what became of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from domain.inbox import Outcome, Reason, State
from domain.looking import EventFilter
from domain.moments import parse_moment
from worker.adapters.db.event_queries import event_story, events_after, newest_event
from worker.adapters.db.windows import RowPage
from worker.adapters.sources.registry import known_source
from worker.cli.event_edit import edit_and_replay
from worker.cli.options import EventNumber, Limit, word
from worker.cli.output import AsJSON, as_json, show, tell_one
from worker.cli.session import container, narrowed, reading

app = typer.Typer(no_args_is_help=True)

app.command("edit-and-replay")(edit_and_replay)
#: Rows that are read at once.
PAGE = 1000


OfSource = Annotated[
    str | None,
    typer.Option(parser=known_source, metavar="SOURCE", help="Name, as `source list` has it."),
]


def moment(text: str | None) -> datetime | None:
    """An ISO 8601 time, or an age such as 10m, 2h, 3d; raises UsageError."""
    return parse_moment(text, datetime.now(UTC)) if text is not None else None


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one option per filter
    account: Annotated[str | None, typer.Option()] = None,
    connection: Annotated[str | None, typer.Option()] = None,
    state: Annotated[State | None, word(State, "--state")] = None,
    outcome: Annotated[Outcome | None, word(Outcome, "--outcome")] = None,
    reason: Annotated[Reason | None, word(Reason, "--reason")] = None,
    subject: Annotated[str | None, typer.Option(help="External id of the person or group.")] = None,
    type_: Annotated[str | None, typer.Option("--type")] = None,
    source: OfSource = None,
    external_id: Annotated[str | None, typer.Option(help="The source's own id of it.")] = None,
    email: Annotated[str | None, typer.Option(help="Of whom it is about, or waits for.")] = None,
    since: Annotated[str | None, typer.Option(help="Time, or 10m, 2h, 3d ago.")] = None,
    until: Annotated[str | None, typer.Option()] = None,
    limit: Limit = 50,
    json_: AsJSON = False,
) -> None:
    """Newest first."""
    owner, attached = narrowed(account, connection)
    wanted = EventFilter(
        accounts=frozenset({owner}) if owner is not None else None,
        connection=attached,
        source=source,
        state=state,
        outcome=outcome,
        reason=reason,
        type=type_,
        subject=subject,
        external_id=external_id,
        address=email,
        since=moment(since),
        until=moment(until),
    )
    columns = ["id", "received_at", "type", "subject", "lane", "state", "outcome", "reason"]
    rows = newest(partial(container().readings.events.page, wanted), limit=limit)
    show(rows, columns, as_json_=json_)


def newest(page: Callable[..., RowPage], *, limit: int) -> list[dict[str, Any]]:
    """So many rows of a list that is read page by page, short pages passed by."""
    found: list[dict[str, Any]] = []
    before: int | None = None
    while len(found) < limit:
        one = page(before=before, limit=min(limit - len(found), PAGE))
        found += one.rows
        before = one.after
        if before is None:
            break
    return found


@app.command("tail")
def tail(
    account: Annotated[str | None, typer.Option()] = None,
    connection: Annotated[str | None, typer.Option()] = None,
    subject: Annotated[str | None, typer.Option(help="External id of the person or group.")] = None,
    seconds: Annotated[float, typer.Option(help="How long; default: until Ctrl-C.")] = math.inf,
    json_: AsJSON = False,
) -> None:
    """What comes from now on: a line when it comes and when it changes; Ctrl-C stops."""
    owner, attached = narrowed(account, connection)
    equals = {"account_id": owner, "connection_id": attached, "subject": subject}
    with suppress(KeyboardInterrupt):
        for line in _changes(equals, until=time.monotonic() + seconds):
            print(as_json(line) if json_ else _told(line), flush=True)


def _changes(equals: dict[str, str | None], *, until: float) -> Iterator[dict[str, Any]]:
    """Events as they come, and again whenever their state is another one."""
    states: dict[int, str] = {}
    with reading() as open_:
        seen = newest_event(open_)
    typer.echo(f"following what comes after event {seen}", err=True)
    while time.monotonic() < until:
        with reading() as open_:
            found = events_after(open_, seen, list(states), equals=equals)
        for event in found:
            seen = max(seen, event["id"])
            if states.get(event["id"]) != event["state"]:
                states[event["id"]] = event["state"]
                yield event
            if event["state"] in (State.ENDED, State.DEAD):
                del states[event["id"]]
        time.sleep(0.3)


def _told(event: dict[str, Any]) -> str:
    why = f" ({event['reason']})" if event["reason"] else ""
    what = f"{event['type']} {event['subject']} -> {event['outcome'] or event['state']}{why}"
    return f"{event['received_at']:%H:%M:%S} {event['id']:>8} {what}"


@app.command("show")
def show_(
    event: EventNumber,
    body: Annotated[bool, typer.Option("--body", help="With the request's body.")] = False,
    json_: AsJSON = False,
) -> None:
    """One event's whole story."""
    with reading() as open_:
        story = event_story(open_, event, vault=container().vault, with_body=body)
    if json_:
        print(as_json(story))
        return
    tell_one(story)
