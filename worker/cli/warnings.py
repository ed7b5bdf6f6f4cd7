"""Standing warnings, in the words of status and doctor (C3, C5)."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta

from worker.adapters.db.credentials_ending import Expiring
from worker.adapters.db.gauges import Heard


def silent(feed: Heard, now: datetime) -> str:
    """A feed that was not heard for longer than its connection allows."""
    name = shlex.quote(feed.connection)
    return (
        f"{feed.feed} ({feed.account}/{feed.connection}, {feed.source}) has been silent for "
        f"{_rounded(feed.silence(now))}: rosterd connection check {name}"
    )


def expires(one: Expiring, now: datetime) -> str:
    """A credential that ends soon, or has ended."""
    left = (one.at - now).total_seconds()
    ends = f"ends in {_rounded(left)}" if left > 0 else f"ended {_rounded(-left)} ago"
    if one.kind == "token":
        return f"{one.id} ({one.of}) {ends}: rosterd token add, then rosterd token revoke {one.id}"
    return f"the old secret of feed {one.of}, still in use, {ends}: set the new one at the provider"


def _rounded(seconds: float) -> str:
    whole = timedelta(seconds=int(seconds))
    return f"{whole.days} days" if whole.days else str(whole)
