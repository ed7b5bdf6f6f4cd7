"""Small values that every rule speaks of: stamps, addresses, domains."""

from __future__ import annotations

import unicodedata
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

#: Older facts than this before their receipt are refused as `too_old` (D2, D16).
HORIZON = timedelta(days=30)
#: An IdP clock may run ahead of ours by this much before we stop believing it (D2).
FUTURE_TOLERANCE = timedelta(minutes=5)


class Stamp(NamedTuple):
    """Order of competing facts, the same whatever the order of arrival (D2).

    at: microseconds since the epoch, in the clock of the feed.
    rank: 1 for a suspension or removal, which beats its opposite at equal time, else 0.
    event: text key of the event, the last tie-break.
    """

    at: int
    rank: int
    event: str

    def destructive(self) -> Stamp:
        """The same moment, ranked as a suspension or removal."""
        return Stamp(self.at, 1, self.event)


def stamp_key(digest: bytes) -> str:
    """The text by which stamps of an event break ties: 96 bits of its digest (D2)."""
    return urlsafe_b64encode(digest[:12]).decode()


#: Older than every fact.
BEGINNING = Stamp(0, 0, "")


def to_micros(moment: datetime) -> int:
    """Whole microseconds since the epoch of an aware moment."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC moment of `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


def believable(occurred_at: datetime | None, received_at: datetime) -> tuple[datetime, bool]:
    """The moment to stamp a fact with, and whether the source's own was clamped (D2).

    Past times are never clamped; a missing or a far future one becomes the time of receipt.
    """
    if occurred_at is None:
        return received_at, False
    if occurred_at > received_at + FUTURE_TOLERANCE:
        return received_at, True
    return occurred_at, False


def normalise_address(address: str) -> str:
    """The form in which two addresses are the same: trimmed, lower case, host in A-labels (U7).

    Lower case and not case folded: `weiß@` and `weiss@` are two mailboxes.
    """
    text = address.strip().rstrip(".").lower()
    if text.isascii():
        return text
    local, at, _ = text.rpartition("@")
    return f"{unicodedata.normalize('NFC', local)}{at}{domain_of(text)}"


#: RFC 5321: 64 before the @, 255 after it.
LONGEST_ADDRESS = 320
#: What parts addresses, or ends one, in a header or a command (RFC 5322, 3.2.3).
_SPECIALS = frozenset('<>()[],;:\\"')


def is_mailable(address: str) -> bool:
    """Whether a mail could be sent there and nowhere else: nothing in it ends or parts a header."""
    text = address.strip()
    local, _, host = text.rpartition("@")
    fits = len(text) <= LONGEST_ADDRESS and text.isprintable() and " " not in text
    is_one = "@" not in local and not _SPECIALS & set(text)
    return fits and is_one and bool(local) and bool(host)


def domain_of(address: str) -> str:
    """The host after the last @: lower case, without a final dot, in A-labels (RFC 5890)."""
    host = address.rpartition("@")[2].strip().rstrip(".").lower()
    return host if host.isascii() else ".".join(map(_a_label, host.split(".")))


def _a_label(label: str) -> str:
    """What a proper U-label is in ASCII (RFC 3492).

    Nothing is mapped here: a label that IDNA 2008 would refuse or change fits no listed domain.
    """
    if label.isascii():
        return label
    return "xn--" + unicodedata.normalize("NFC", label).encode("punycode").decode()
