"""What ingest hands to the store: one authentic delivery and the events in it (D9)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from domain.inbox import Kind, Lane
from domain.ports import SigningSecret

#: Longest form of a foreign id that is kept to be read by people (D9).
PRINTABLE = 120
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FeedView:
    """What ingest has to know of a feed; secrets are open here and never logged."""

    id: str
    connection: str
    account: str
    source: str
    is_held: bool
    secrets: tuple[SigningSecret, ...]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be stored. digest: of the source's id.

    content: of what it says; empty of one that a log told, which may do so in other bytes.
    """

    digest: bytes
    content: bytes
    external_id: str
    type: str
    subject: str
    kind: Kind
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class Submission:
    """One authentic delivery with its events, ready to be stored.

    lane: for all of them, in place of the one that their kind has.
    """

    feed: FeedView
    credential: str
    headers: bytes
    body: bytes
    body_digest: bytes
    is_cut: bool
    events: tuple[NewEvent, ...]
    success_status: int
    lane: Lane | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A new row of the inbox, for the ring."""

    id: int
    connection: str
    kind: Kind
    is_held: bool


def unsplit(event_id: str | None, body: bytes) -> NewEvent:
    """The one event that stands for a body which cannot be split; a worker says why."""
    whole = sha256(body)
    name = event_id or f"sha256:{whole.hexdigest()}"
    return NewEvent(
        digest=digest_of(name),
        content=whole.digest(),
        external_id=printable(name),
        type="",
        subject="",
        kind=Kind.SORT,
        occurred_at=None,
    )


def digest_of(text: str) -> bytes:
    """The fixed-size form of a foreign id (D9)."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def printable(text: str) -> str:
    """Foreign text that any database and terminal takes: no controls, no lone surrogates."""
    if text.isprintable():
        return text[:PRINTABLE]
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[:PRINTABLE])
