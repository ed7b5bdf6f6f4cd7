"""Receive a request of an identity provider: authenticate, cut, split; storing comes next (D9)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from domain.inbox import Lane
from domain.intake import FeedView, NewEvent, Submission, digest_of, printable, unsplit
from domain.ports import (
    NotAuthenticError,
    Reply,
    Request,
    Source,
    SplitEvent,
    UnparseableError,
)

#: What stands in place of headers where no hook came: the log was read.
LOGGED = b'{"said": "catch-up"}'
_AS_JSON = json.JSONEncoder(sort_keys=True)
_PASSWORD = re.compile(rb"passw", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not stored; result is what is counted for the feed. reply: instead of the plain answer."""

    result: str
    reply: Reply | None = None


def receive(
    feed: FeedView, source: Source, request: Request, *, now: datetime, lane: Lane | None = None
) -> Submission | Reply | Refusal:
    """What to store of a request, or what to answer without storing anything.

    Raises KeysNeededError where the proof needs public keys that this process does not know.
    """
    try:
        secret = source.verify(request, feed.secrets, now)
    except NotAuthenticError as error:
        return refused(source, error)
    reply = source.handshake(request)
    if reply is not None:
        return reply
    opened, is_opened = source.opened(source.content(request))
    body, is_cut = cut_passwords(opened)
    events = _split(source, Request(request.method, request.headers, body, request.query))
    return Submission(
        feed=feed,
        credential=secret.id,
        headers=_kept(request.headers, source.kept_headers),
        body=body,
        body_digest=sha256(request.body).digest(),
        is_cut=is_cut or is_opened,
        events=events,
        success_status=source.success_status,
        lane=lane,
    )


def as_logged(feed: FeedView, source: Source, body: bytes) -> Submission:
    """A request that the source's hook would have sent, as the IdP's own log tells it.

    Nothing has to be proven: it was asked for. content: empty, for a log may tell the same event
    in other bytes; by its id it is the same (D12).
    """
    request = Request("POST", {}, body)
    opened, is_opened = source.opened(body)
    kept, is_cut = cut_passwords(opened)
    events = _split(source, replace(request, body=kept))
    return Submission(
        feed=feed,
        credential="",
        headers=LOGGED,
        body=kept,
        body_digest=sha256(body).digest(),
        is_cut=is_cut or is_opened,
        events=tuple(replace(event, content=b"") for event in events),
        success_status=source.success_status,
    )


def refused(source: Source, error: NotAuthenticError) -> Refusal:
    """How a request that proves nothing is answered and counted."""
    return Refusal(error.reason, source.refusal(error))


def _split(source: Source, request: Request) -> tuple[NewEvent, ...]:
    try:
        return tuple(
            _new_event(event) for event in source.split(source.read(request.body), request)
        )
    except UnparseableError:
        return (unsplit(source.event_id(request), request.body),)


def _new_event(event: SplitEvent) -> NewEvent:
    return NewEvent(
        digest=digest_of(event.id),
        content=sha256(event.content).digest(),
        external_id=printable(event.id),
        type=printable(event.type),
        subject=printable(event.subject),
        kind=event.kind,
        occurred_at=event.occurred_at,
    )


def _kept(headers: Mapping[str, str], names: tuple[str, ...]) -> bytes:
    kept = {name: printable(headers[name]) for name in names if name in headers}
    return _AS_JSON.encode(kept).encode()


def cut_passwords(body: bytes) -> tuple[bytes, bool]:
    """The body without the values of password members, and whether there were any."""
    if _PASSWORD.search(body) is None:
        return body, False
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body, False
    if not _cut(document):
        return body, False
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"), True


def _cut(document: object) -> bool:
    """Remove password members wherever they stand; whether any was found."""
    found = False
    todo = [document]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            for key in [k for k in node if "passw" in k.lower()]:
                del node[key]
                found = True
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return found
