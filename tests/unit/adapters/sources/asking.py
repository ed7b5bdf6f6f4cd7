"""What a source makes of one document: shared by the tests of single sources."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from domain.changes import Change
from domain.inbox import Kind
from domain.ports import Parsed, Request, SigningSecret, Source, SplitEvent
from worker.cli.signing import SIGN

NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
#: kind, subject, changes
Told = tuple[Kind, str, tuple[Change, ...]]


def request_of(source: Source, document: object, secret: str, at: datetime = NOW) -> Request:
    """The document as its senders send it."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return Request("POST", SIGN[source.name](secret, body, at), body)


def split_of(source: Source, document: object, at: datetime = NOW) -> list[SplitEvent]:
    """The proven document, cut into events."""
    secret = SigningSecret("k", source.new_secret())
    request = request_of(source, document, secret.value, at)
    assert source.verify(request, [secret], at) is secret
    return source.split(source.read(request.body), request)


def told_by(source: Source, document: object) -> Told:
    """What the only event of a document is stored as, and asks for."""
    (split,) = split_of(source, document)
    parsed = source.parse(source.read(orjson.dumps(document)), 0)
    assert parsed == (Parsed(parsed.changes) if parsed.changes else Parsed(ignored=parsed.ignored))
    return split.kind, split.subject, parsed.changes
