"""`rosterd record`: requests of a feed as files for a bug report, without anybody's data."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.disguise import Disguise
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.ports import Source
from worker.adapters.db.recorded import (
    Delivered,
    delivered_since,
    last_delivered,
    newest_delivery,
)
from worker.adapters.recording import recorded
from worker.adapters.sources.registry import SOURCES
from worker.cli.output import AsJSON, as_json, err, out
from worker.cli.reasons import Reason
from worker.cli.session import container, reading, setup
from worker.cli.signing import SIGN

#: So many requests, and so long, at most.
MOST, LONGEST = 200, 3600.0
LOOK_SECONDS = 0.2
#: What tells of the other files.
CONTENTS = "recording.json"


def register(app: typer.Typer) -> None:
    """The command."""
    app.command("record")(record)


def record(
    feed: Annotated[str, typer.Argument(help="Id of the feed: rosterd feed list CONNECTION.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="A new folder. Default: recording-FEED.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, max=MOST, help="Those that came last, instead.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=MOST, help="So many of the next requests.")
    ] = 10,
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=LONGEST, help="Seconds to wait for them at most.")
    ] = 600.0,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """Write the next requests of a feed to files without anybody's data, for a bug report.

    Names, addresses and numbers are replaced, each by the same one wherever it stands; how the
    request is built stays. Only what was authentic is there. `rosterd source check` reads them.
    """
    with setup() as use:
        found = use.feed(feed)
    if found["source"] not in SOURCES:
        raise RefusedError(f"feed {feed} is rosterd's own: nobody posts to it")
    recording = _Recording(SOURCES[found["source"]], _made(to or Path(f"recording-{feed}")))
    _say(recording, feed, last, count, wait)
    with setup() as use:
        told = {"last": last} if last else {"next": count, "seconds": wait}
        use.audit(found["account_id"], "feed.recorded", feed, reason=reason, after=told)
    # Whoever ends the waiting has what came until then.
    with suppress(KeyboardInterrupt):
        for one in _last(found, last) if last else _next(feed, count, wait):
            recording.write(one)
    _end(recording, feed, json_=json_)


@dataclass(slots=True)
class _Recording:
    """One folder of files. secret: a fresh one, by which all of them are proven anew."""

    source: Source
    folder: Path
    secret: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    kept_back: int = 0
    disguise: Disguise = field(default_factory=lambda: Disguise(secrets.token_bytes(32)))

    def __post_init__(self) -> None:
        if self.source.name in SIGN:
            self.secret = self.source.new_secret()

    def write(self, one: Delivered) -> None:
        made = recorded(self.source, one.headers, one.body, self.disguise)
        if made.body is None:
            self.kept_back += 1
            return
        proof = self._proof(made.body, one.received_at)
        name = f"{self.source.name}-{len(self.files) + 1:03d}.http"
        _private(self.folder / name, _wire({**made.headers, **proof}, made.body))
        self.files.append(
            {
                "file": name,
                "received_at": one.received_at,
                "is_cut": one.is_cut,
                "is_faithful": made.is_faithful,
                "asked": made.asked,
                "events": one.events,
            }
        )

    def _proof(self, body: bytes, at: datetime) -> Mapping[str, str]:
        sign: Callable[..., dict[str, str]] | None = SIGN.get(self.source.name)
        return {} if sign is None else sign(self.secret, body, at)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise UsageError(f"{folder} is there already: name another by --to") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
    return folder


def _private(file: Path, content: bytes) -> None:
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(content)


def _wire(headers: Mapping[str, str], body: bytes) -> bytes:
    lines = ["POST /hooks/recorded HTTP/1.1", *(f"{name}: {it}" for name, it in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def _say(recording: _Recording, feed: str, last: int | None, count: int, wait: float) -> None:
    what = f"the last {last} requests" if last else f"the next {count} requests, {wait:g} s at most"
    err.print(
        f"recording {what}, of feed {feed} ({recording.source.name}) into {recording.folder}; "
        "names, addresses and numbers are replaced",
        markup=False,
    )


def _last(feed: dict[str, Any], count: int) -> Iterator[Delivered]:
    with reading() as open_:
        vault, connection = container().vault, feed["connection_id"]
        yield from last_delivered(open_, vault, connection, feed["id"], count)


def _next(feed: str, count: int, seconds: float) -> Iterator[Delivered]:
    """Requests as they come, until there are so many or the time is over."""
    with reading() as open_:
        start = newest_delivery(open_)
    known: set[int] = set()
    deadline = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= deadline
        with reading() as open_:
            found = delivered_since(open_, container().vault, feed, start, known=known)
        for one in found[: count - len(known)]:
            known.add(one.id)
            yield one
        if is_last or len(known) >= count:
            return
        time.sleep(LOOK_SECONDS)


def _end(recording: _Recording, feed: str, *, json_: bool) -> None:
    if not recording.files:
        recording.folder.rmdir()
        none = f"of feed {feed}: nothing authentic came, or is kept"
        raise NothingFoundError("request", more=none)
    told = {
        "source": recording.source.name,
        "recorded_at": datetime.now(UTC),
        "secret": recording.secret,
        "kept_back": recording.kept_back,
        "files": recording.files,
    }
    _private(recording.folder / CONTENTS, as_json(told).encode() + b"\n")
    if json_:
        print(as_json({"folder": str(recording.folder), **told}))
        return
    _show(recording)


def _show(recording: _Recording) -> None:
    out.print(f"{len(recording.files)} files in {recording.folder}: look at them", markup=False)
    odd = [one["file"] for one in recording.files if not one["is_faithful"]]
    if odd:
        out.print(f"not taken for the same once disguised: {', '.join(odd)}", markup=False)
    if recording.kept_back:
        out.print(f"{recording.kept_back} not written: an address was left in them", markup=False)
    first = recording.files[0]
    proof = f" --secret {recording.secret} --at {first['received_at'].isoformat()}"
    shown = recording.folder / first["file"]
    out.print(
        f"rosterd source check {shown} --source {recording.source.name}"
        + (proof if recording.secret else ""),
        markup=False,
    )
