"""`rosterd connection backfill`: the provider's whole list, read once (S4)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import RefusedError, UsageError
from domain.inbox import Lane
from domain.intake import StoredEvent, Submission
from domain.ports import Request, UnparseableError
from domain.reconciliation import Purpose
from domain.reconciling import What
from worker.adapters.db.ingest import GroupCommitter, Stored
from worker.adapters.db.setup import feed_view
from worker.adapters.sources.registry import SOURCES
from worker.cli.event import moment
from worker.cli.output import AsJSON, DryRun, as_json, out
from worker.cli.progress import Done, progress
from worker.cli.reconcile import begun, followed, insist_finished, total
from worker.cli.session import container, reading, setup
from worker.cli.signing import standard_headers
from worker.services.receive import receive

#: The one source whose list can be given as a file so far.
STANDARD = "standard"
#: Lines that travel in one request.
TOGETHER = 200
#: Wrong lines that are told of before it gives up.
TOLD = 10

Event = dict[str, Any]


def backfill(
    connection: str,
    file: Annotated[
        Path | None,
        typer.Argument(help="JSON Lines: requests of `standard`, or people as in user.upserted."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="When the list was true; default: now. A time, or 2h ago.")
    ] = None,
    dry_run: DryRun = False,
    json_: AsJSON = False,
) -> None:
    """Read the provider's list, so that nobody is missing who was there before (S4).

    Without a file its directory is read, where the connection has access to it.
    """
    with setup() as use:
        found = use.connection(connection)
        feeds = [row for row in use.feeds(found["id"]) if row["state"] != "retired"]
    if file is None and container().directory_of(found["id"]) is not None:
        _read_directory(found, dry_run=dry_run, as_json_=json_)
        return
    feed = next((row["id"] for row in feeds if row["source"] == STANDARD), None)
    if file is None or feed is None:
        raise RefusedError(_cannot(found))
    at = moment(as_of) or datetime.now(UTC)
    lines = _checked(file, at)
    stored = 0
    if not dry_run:
        with progress("storing", unit="lines", total=lines, is_quiet=json_) as done:
            stored = _store(feed, file, at, done)
        with setup() as use:
            use.note_backfill(found, lines=lines, stored=stored)
    told = {"connection": found["id"], "lines": lines, "stored": stored, "dry_run": dry_run}
    if json_:
        print(as_json(told))
    elif dry_run:
        out.print(f"would store {lines:,} lines; nothing was changed")
    else:
        out.print(f"backfilled: {lines:,} lines, {stored:,} of them new; applied in the bulk lane")


def _read_directory(found: dict[str, Any], *, dry_run: bool, as_json_: bool) -> None:
    """Everybody whom the IdP has, by a run that goes on wherever it is stopped."""
    run = begun(found["id"], Purpose.BACKFILL, applies=not dry_run, why="backfill")
    seen = followed(run, is_quiet=as_json_)
    insist_finished(seen)
    people, groups = seen.counts.get("people", 0), seen.counts.get("groups", 0)
    new = sum(total(seen.counts, what) for what in (What.MISSING, What.DIFFERING))
    if as_json_:
        told = {"connection": found["id"], "lines": people, "dry_run": dry_run}
        print(as_json({**told, "stored": seen.counts.get("said", 0), "run": run}))
    elif dry_run:
        out.print(f"read {people:,} people and {groups:,} groups: would store {new:,} events")
    else:
        out.print(
            f"backfilled: {people:,} people and {groups:,} groups read, {new:,} events of what is "
            "new; applied in the bulk lane"
        )


def _cannot(found: dict[str, Any]) -> str:
    if found["source"] == STANDARD:
        return f"{found['name']} has no directory to ask: give its list as a file of JSON lines"
    return (
        f"rosterd has no access to the directory of {found['name']}, and takes files for the "
        f"source {STANDARD} only: {found['name']} stays not backfilled. Give it access with "
        "`rosterd connection access`, or let the provider send everybody once (a full sync, or a "
        "new assignment of the application)"
    )


def _checked(file: Path, at: datetime) -> int:
    """How many lines there are; raises UsageError naming the wrong ones, before any is kept."""
    wrong: list[str] = []
    count = 0
    for number, event in _events(file, at, wrong):
        count += 1
        problem = _problem(event)
        if problem is not None:
            wrong.append(f"line {number}: {problem}")
        if len(wrong) >= TOLD:
            break
    if wrong:
        raise UsageError(f"{file}: nothing was stored\n  " + "\n  ".join(wrong))
    if count == 0:
        raise UsageError(f"{file} holds no line")
    return count


def _problem(event: Event) -> str | None:
    source = SOURCES[STANDARD]
    try:
        document = source.read(json.dumps({"events": [event]}).encode())
        source.split(document, Request("POST", {}))
        parsed = source.parse(document, 0)
    except UnparseableError as error:
        return str(error)
    return f"{event['type']!r} asks nothing" if parsed.ignored is not None else None


def _events(file: Path, at: datetime, wrong: list[str]) -> Iterator[tuple[int, Event]]:
    """Each line as an event of the source, one in memory at a time."""
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    yield number, _event(json.loads(line), at)
                except (ValueError, TypeError) as error:
                    wrong.append(f"line {number}: {error}")
                    if len(wrong) >= TOLD:
                        return
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}") from error


def _event(line: Any, at: datetime) -> Event:
    """A request of the source as it is; whatever has no type describes a person."""
    if not isinstance(line, dict):
        raise TypeError("no JSON object")
    event = dict(line) if "type" in line else {"type": "user.upserted", "data": line}
    event.setdefault("timestamp", at.isoformat())
    said = json.dumps(event, sort_keys=True)
    event.setdefault("id", f"backfill-{sha256(said.encode()).hexdigest()[:32]}")
    return event


def _store(feed: str, file: Path, at: datetime, done: Done) -> int:
    """Through the door of every request, into the bulk lane; how many events are new."""
    parts = container()
    rung: set[StoredEvent] = set()
    committer = GroupCommitter(
        parts.database, parts.vault, committed=rung.update, report=parts.report
    )
    committer.start()
    try:
        stored = count = 0
        for part in _parts(file, at):
            stored += _submit(committer, _submission(feed, part))
            count += len(part)
            done(count)
    finally:
        committer.stop()
    for kind in sorted({event.kind for event in rung if not event.is_held}):
        parts.ringer.ring(kind, Lane.BULK.value, connection="", event_ids=())
    parts.ringer.stop()
    return stored


def _parts(file: Path, at: datetime) -> Iterator[list[Event]]:
    part: list[Event] = []
    for _, event in _events(file, at, []):
        part.append(event)
        if len(part) == TOGETHER:
            yield part
            part = []
    if part:
        yield part


def _submission(feed: str, events: Sequence[Event]) -> Submission:
    parts = container()
    with reading() as open_:
        view = feed_view(open_, parts.vault, feed)
    if view is None or not view.secrets:
        raise RefusedError(f"feed {feed} has no secret: rosterd feed rotate {feed}")
    body = json.dumps({"events": list(events)}).encode()
    now = datetime.now(UTC)
    headers = standard_headers(
        view.secrets[0].value, f"backfill-{sha256(body).hexdigest()[:32]}", now, body
    )
    request = Request("POST", {**headers, "content-type": "application/json"}, body)
    taken = receive(view, SOURCES[STANDARD], request, now=now, lane=Lane.BULK)
    assert isinstance(taken, Submission)
    return taken


def _submit(committer: GroupCommitter, submission: Submission) -> int:
    """One part after the other: a list of a million is never in memory."""
    heard = threading.Event()
    results: list[Stored | BaseException] = []

    def done(result: Stored | BaseException) -> None:
        results.append(result)
        heard.set()

    committer.submit(submission, done)
    heard.wait()
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return len(result.events)
