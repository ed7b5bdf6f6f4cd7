"""Standing warnings, in the words of status and doctor (C3, C5, G3, G4)."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta

from worker.adapters.db.credentials_ending import Expiring
from worker.adapters.db.gauges import Heard, Named, Snapshot
from worker.adapters.db.reading_gauges import CaughtUp
from worker.adapters.db.reading_state import Reading
from worker.adapters.db.standing import DroppedOut
from worker.adapters.db.subscription_gauges import Subscribed


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


def gives_no_answer(one: Named, reading: Reading) -> str:
    """An IdP whose directory is not read; events wait for it."""
    name = shlex.quote(one.connection)
    return (
        f"{one.account}/{one.connection}: its directory gave no answer {reading.failures} times in "
        f"a row ({reading.last_error}), {reading.questions} people and groups wait to be read: "
        f"rosterd connection access {name} --check"
    )


def is_behind(one: Named, log: CaughtUp, now: datetime) -> str:
    """An IdP whose log is not read; what its hooks do not bring is not found."""
    name = shlex.quote(one.connection)
    return (
        f"{one.account}/{one.connection}: its log was not read for {_rounded(log.behind(now))} "
        f"({log.why}): rosterd connection access {name} --check"
    )


def is_not_renewed(one: Named, kept: Subscribed) -> str:
    """Subscriptions that bring an IdP's webhooks, and cannot be made or renewed."""
    name = shlex.quote(one.connection)
    ends = f"ends on {kept.ends_at:%d %B %Y}" if kept.ends_at is not None else "there is none"
    return (
        f"{one.account}/{one.connection}: its subscription at the identity provider was not "
        f"renewed, {kept.failures} times in a row ({kept.why}); {ends}: "
        f"rosterd connection subscriptions {name} --renew"
    )


def is_unread(one: Named) -> str:
    """U8: whoever knows the hook's secret can let people in."""
    name = shlex.quote(one.connection)
    return (
        f"{one.account}/{one.connection} is believed by its hook's secret alone, and changed "
        f"profiles are not seen: rosterd connection access {name} lets rosterd read them"
    )


def opens(account: str, count: int) -> str:
    """G4: somebody may open private spaces."""
    return (
        f"{account}: {count} may open private spaces (Provision Managers): "
        f"rosterd group list --account {shlex.quote(account)}"
    )


def dropped(group: DroppedOut) -> str:
    """G3: a group that no provider manages any more."""
    return (
        f"{group.account}: group {group.name} is out of management: rosterd group show {group.id}"
    )


def standing(snapshot: Snapshot) -> list[str]:
    """G3, G4: what stands until somebody does something about it."""
    may = [opens(account, count) for account, count in snapshot.openers.items() if count]
    return [*may, *(dropped(group) for group in snapshot.dropped)]


def _rounded(seconds: float) -> str:
    whole = timedelta(seconds=int(seconds))
    return f"{whole.days} days" if whole.days else str(whole)
