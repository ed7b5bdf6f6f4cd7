"""`rosterd source check`: what a captured request is, whether it is authentic, what it asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import NothingFoundError, UsageError
from domain.ports import Request, SigningSecret, Source
from worker.adapters.db.setup import feed_view
from worker.adapters.request_check import looked_at
from worker.adapters.sources import jws
from worker.adapters.sources.detection import detected
from worker.adapters.sources.fields import moment
from worker.adapters.sources.registry import SOURCES
from worker.cli.captured import read_request
from worker.cli.credentials import Secret, Trust, credential
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.session import container, reading

app = typer.Typer(no_args_is_help=True)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A request as text, or a body (see below).")],
    source: Annotated[str | None, typer.Option(help="Default: told from the request.")] = None,
    secret: Secret = None,
    trust: Trust = None,
    jwks: Annotated[
        Path | None, typer.Option(help="A key set as a file, in place of reading jwks_url.")
    ] = None,
    feed: Annotated[str | None, typer.Option(help="Prove it by this feed's secrets.")] = None,
    at: Annotated[str | None, typer.Option(help="As of this RFC 3339 time; default: now.")] = None,
    json_: AsJSON = False,
) -> None:
    """Say of a captured request which source it is of, whether it is authentic, what it asks for.

    Nothing is stored. FILE holds `POST /path`, headers, an empty line and the body; or the body
    alone, with its headers in NAME.headers.txt beside it. Exit code 1: not authentic, or not
    understood.
    """
    request = read_request(file)
    adapter, found = _source(request, source, feed)
    now = _moment(at)
    secrets = _secrets(adapter, secret, trust, jwks, feed)
    looked = looked_at(adapter, request, secrets, now, container().key_ring)
    shown = {"source": adapter.name, "detected": found, **looked}
    if json_:
        print(as_json(shown))
    else:
        _show(shown)
    is_bad = any("unparseable" in event for event in shown["events"]) or "unparseable" in shown
    if shown["authentic"] is False or is_bad:
        raise typer.Exit(1)


@app.command("list")
def list_(json_: AsJSON = False) -> None:
    """All sources, for `--source`."""
    rows = [
        {"name": name, "needs_scope": one.needs_scope, "addresses": list(one.addresses)}
        for name, one in sorted(SOURCES.items())
    ]
    show(rows, ["name", "needs_scope", "addresses"], as_json_=json_)


def _source(request: Request, name: str | None, feed: str | None) -> tuple[Source, list[str]]:
    found = detected(request)
    if name is None and feed is not None:
        name = _feed(feed).source
    if name is None and not found:
        raise NothingFoundError("source", more="that sends such a request: say which with --source")
    chosen = name if name is not None else found[0]
    if chosen not in SOURCES:
        raise UsageError(f"source {chosen!r} is unknown; there are: {', '.join(sorted(SOURCES))}")
    return SOURCES[chosen], found


def _feed(feed: str) -> Any:
    with reading() as open_:
        view = feed_view(open_, container().vault, feed)
    if view is None:
        raise NothingFoundError("feed", feed)
    return view


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    found = moment(text)
    if found is None:
        raise UsageError(f"--at {text!r} is no time such as 2026-01-31T09:00:00Z")
    return found


def _secrets(
    source: Source,
    secret: str | None,
    trust: list[str] | None,
    jwks: Path | None,
    feed: str | None,
) -> list[SigningSecret]:
    if feed is not None:
        return list(_feed(feed).secrets)
    if secret is None and not trust:
        return []
    one = SigningSecret("given", credential(source, secret, trust))
    if jwks is None:
        return [one]
    try:
        return [replace(one, keys=jws.read_keys(jwks.read_bytes()))]
    except (OSError, ValueError) as error:
        raise UsageError(f"--jwks {jwks}: {error}") from error


def _show(shown: dict[str, Any]) -> None:
    words = {True: "authentic", False: "NOT authentic", None: "not judged"}
    others = [name for name in shown["detected"] if name != shown["source"]]
    out.print(f"source     {shown['source']}" + (f" (or {', '.join(others)})" if others else ""))
    out.print(f"proof      {words[shown['authentic']]}: {shown['why']}", markup=False)
    for name in ("handshake", "unparseable"):
        if name in shown:
            out.print(f"{name:10} {shown[name]}", markup=False)
    if "answer" in shown:
        out.print(f"answer     {shown['answer']}, {len(shown['events'])} events")
    for event in shown["events"]:
        when = event["occurred_at"].isoformat() if event["occurred_at"] else "when received"
        out.print(f"event      {event['type']} {event['id']}", markup=False)
        out.print(f"           {event['kind']}, {event['lane']}, {when}", markup=False)
        for line in _lines(event):
            out.print(f"           {line}", markup=False)


def _lines(event: dict[str, Any]) -> list[str]:
    if "unparseable" in event:
        return [f"unparseable: {event['unparseable']}"]
    if "signal" in event:
        return [f"ignored: {event['ignored']}; passed on as security.signal {event['signal']}"]
    if "ignored" in event:
        return [f"ignored: {event['ignored']}"]
    whom = [f"of whoever has {event['whose']}"] if "whose" in event else []
    return [*whom, *(_line(change) for change in event["changes"])]


def _line(change: dict[str, Any]) -> str:
    given = ", ".join(
        f"{name}={value!r}"
        for name, value in change.items()
        if name != "change" and value not in (None, "", {})
    )
    return f"{change['change']}({given})"
