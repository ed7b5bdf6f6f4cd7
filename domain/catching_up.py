"""Catching up with what an IdP's hooks did not bring: whose log is read on, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from domain.intake import FeedView
from domain.retry import RetryPolicy

#: A log that is not answered is asked for again within this; it is never given up.
WAITS = RetryPolicy(max_attempts=2**31, base=timedelta(seconds=5), cap=timedelta(minutes=15))
#: What only an operator can mend is tried so often.
UNTIL_MENDED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """A connection whose log is read by this process.

    cursor: where the log is read on, "" before it was ever read. feed: by which its IdP sends
    hooks: what the log tells is stored as that feed's word.
    """

    connection: str
    cursor: str
    fence: int
    failures: int
    feed: FeedView
