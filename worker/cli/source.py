"""`rosterd source check`: what a captured request is, whether it is authentic, what it asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.inbox import lane_of
from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Request,
    SigningSecret,
    Source,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.db.setup import feed_view
from worker.adapters.sources import jws
from worker.adapters.sources.detection import detected
from worker.adapters.sources.fields import moment
from worker.adapters.sources.registry import SOURCES
from worker.adapters.sources.scim import told
from worker.cli.captured import read_request
from worker.cli.credentials import Secret, Trust, credential
from worker.cli.output import AsJSON, as_json, out
from worker.cli.session import container, reading

app = typer.Typer(no_args_is_help=True, help="Sources: the kinds of interface behind feeds.")

#: authentic: True, False, or None where nothing to prove it by was given.
Verdict = dict[str, Any]


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
    verdict = _proof(adapter, request, _secrets(adapter, secret, trust, jwks, feed), now)
    shown = {"source": adapter.name, "detected": found, **verdict, **_content(adapter, request)}
    if json_:
        print(as_json(shown))
    else:
        _show(shown)
    is_bad = any("unparseable" in event for event in shown["events"]) or "unparseable" in shown
    if shown["authentic"] is False or is_bad:
        raise typer.Exit(1)


@app.command("list")
def list_() -> None:
    """Names of all sources, for `--source`."""
    for name in sorted(SOURCES):
        out.print(name)


def _source(request: Request, name: str | None, feed: str | None) -> tuple[Source, list[str]]:
    found = detected(request)
    if name is None and feed is not None:
        name = _feed(feed).source
    if name is None and not found:
        raise NothingFoundError("source", "that sends such a request: say which with --source")
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


def _proof(
    source: Source, request: Request, secrets: list[SigningSecret], now: datetime
) -> Verdict:
    if not secrets:
        return {"authentic": None, "why": "not asked: give --secret, --trust or --feed"}
    try:
        source.verify(request, secrets, now)
    except KeysNeededError as needed:
        return _proof(source, request, _with_keys(secrets, needed.url), now)
    except NotAuthenticError as error:
        return {"authentic": False, "why": _WHY[error.reason] + (error.why and f" ({error.why})")}
    return {"authentic": True, "why": f"proven as of {now:%Y-%m-%d %H:%M:%S} UTC"}


_WHY = {
    "missing": "missing: the request bears no proof in the place where this source has it",
    "wrong": "wrong: by none of the secrets was this very body signed",
    "stale": "stale: the signature is right, and of another time; --at says as of when to judge",
}


def _with_keys(secrets: list[SigningSecret], url: str) -> list[SigningSecret]:
    """Keys from where they are published; raises RefusedError where none of them fits."""
    ring = container().key_ring
    if ring.known(url) is not None or any(one.keys is not None for one in secrets):
        raise RefusedError(f"none of the keys of {url} is the one that the token names")
    ring.renew(url)
    return [replace(one, keys=ring.known(url)) for one in secrets]


def _content(source: Source, request: Request) -> dict[str, Any]:
    """What is stored and what comes of it, as far as the request alone tells."""
    reply = source.handshake(request)
    if reply is not None:
        return {"handshake": reply.body.decode("utf-8", "replace"), "events": []}
    body, is_cut = source.opened(request.body)
    try:
        document = source.read(body)
        events = source.split(document, replace(request, body=body))
    except UnparseableError as error:
        return {"unparseable": str(error), "events": []}
    shown = [_event(source, document, index, one) for index, one in enumerate(events)]
    return {"answer": source.success_status, "is_cut": is_cut, "events": shown}


def _event(source: Source, document: object, index: int, one: SplitEvent) -> dict[str, Any]:
    seen = {
        "id": one.id,
        "type": one.type,
        "kind": one.kind.value,
        "lane": lane_of(one.kind).value,
        "subject": one.subject,
        "occurred_at": one.occurred_at,
    }
    try:
        parsed = source.parse(document, index)
    except UnparseableError as error:
        return {**seen, "changes": [], "unparseable": str(error)}
    more: dict[str, Any] = {"changes": told(parsed.changes)}
    if parsed.ignored is not None:
        more["ignored"] = parsed.ignored.value
    if parsed.whose:
        more["whose"] = parsed.whose
    if parsed.signal is not None:
        more["signal"] = parsed.signal.name
    return {**seen, **more}


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
