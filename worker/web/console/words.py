"""Plain words for what the pages show: outcomes and reasons with what to do, ages, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

#: State or outcome: what it means of an event.
STATES: Mapping[str, str] = {
    "pending": "waits for its turn",
    "retrying": "failed, and is tried again by itself",
    "waiting": "waits for something that another event has to bring",
    "held": "kept back on purpose",
    "dead": "failed for good: somebody has to decide",
    "ended": "done with",
    "applied": "changed the directory",
    "unchanged": "asked for what was so already",
    "superseded": "came after something newer, and changes nothing",
    "ignored": "asks for nothing here",
    "discarded": "given up by an operator",
}

#: Reason: what happened, and what to do about it ("" where nothing is to be done).
REASONS: Mapping[str, tuple[str, str]] = {
    "out_of_scope": ("The person is not among those whom the connection provisions.", ""),
    "guest": ("The person is a guest, and guests are never provisioned.", ""),
    "unknown_type": ("An event of a type that says nothing about people or groups.", ""),
    "no_directory_change": ("The event asks for nothing in the directory.", ""),
    "retired": ("Its connection is retired.", ""),
    "breaker": (
        "The breaker tripped: the connection takes away from more people than usual.",
        "Look at the hold, and approve or reject it.",
    ),
    "observing": (
        "The connection only observes, and nothing of it is applied.",
        "Look at its plan, and let it go live.",
    ),
    "paused": ("Its connection or feed is paused.", "Resume it, and the event is applied."),
    "not_seen": (
        "It is about a person or group that nobody has described yet.",
        "It is applied by itself as soon as the provider describes them.",
    ),
    "reading": (
        "The event says too little: its person or group is read at the provider first.",
        "It is applied by itself once the provider answers: `rosterd connection access`.",
    ),
    "address_taken": (
        "The address belongs to somebody else of the account.",
        "It is applied by itself once the other gives the address up.",
    ),
    "unparseable": (
        "The provider's signature is good, but what it sent cannot be understood.",
        "Look at the body. After a fix, replay it.",
    ),
    "conflict": (
        "The provider used an event id again for something else.",
        "Look at both. Replay it if this is what counts, else discard it.",
    ),
    "too_old": (
        "It happened longer ago than the horizon of 30 days.",
        "Ask the provider's list instead, and discard it.",
    ),
    "domain_not_allowed": (
        "The address's domain is not on the account's list.",
        "Allow the domain if it is yours, then replay.",
    ),
    "owned_elsewhere": (
        "Another connection governs this person.",
        "Move the person to this connection, or discard it.",
    ),
    "protected_user": (
        "The last owner, or a break-glass person: provisioning may not touch them.",
        "Make somebody else an owner, or do it by hand; then discard it.",
    ),
    "protected_group": (
        "The group may recover accounts or manage groups: provisioning may not manage it.",
        "Take the permission from the group and replay, or discard it.",
    ),
    "group_exists": (
        "The account has a group of this name already, made by hand.",
        "Rename one of the two, or let the connection manage existing groups; then replay.",
    ),
    "error": (
        "Applying it failed again and again.",
        "Look at the last error. After a fix, replay it.",
    ),
    "worker_lost": (
        "Whatever tried to apply it died with it, three times, alone.",
        "Report it with the event's body. Replay only after a fix.",
    ),
    "foreign_message": (
        "Something that is no ring of rosterd's lay in the broker.",
        "Find out who else uses this broker, then discard it.",
    ),
    "needs_reading": (
        "The feed's secret is static, so it may not let anybody in by itself.",
        "Use a feed that signs, or say so in the connection's settings.",
    ),
    "no_address": (
        "The person has no address that mail could reach.",
        "Give them one at the provider; it is applied by itself.",
    ),
}

#: Action of the audit by its beginning: what was done.
ACTIONS: Mapping[str, str] = {
    "user.": "person",
    "group.": "group",
    "connection.": "connection",
    "feed.": "feed",
    "hold.": "hold",
    "dead.": "dead letter",
    "replay.": "replay",
    "domain.": "domain",
    "token.": "token",
    "account.": "account",
    "operator.": "operator",
    "override.": "override",
}


def age(seconds: float) -> str:
    """A duration in the largest unit that says enough."""
    if seconds < _MINUTE:
        return f"{max(seconds, 0):.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"


def latency(seconds: float | None) -> str:
    """How long something took, in the unit that suits it."""
    if seconds is None:
        return "none"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else age(seconds)  # noqa: PLR2004 - two digits each


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, or in how long."""
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return f"in {age(-seconds)}"
    # Below a minute it would be another page each second.
    return "just now" if seconds < _MINUTE else f"{age(seconds)} ago"


def moment(at: datetime, *, is_short: bool = False) -> str:
    """A time with its zone."""
    told = at.astimezone(UTC)
    return f"{told:%b %d %H:%M:%S} UTC" if is_short else f"{told:%Y-%m-%d %H:%M:%S} UTC"


def count(number: float) -> str:
    """A whole number as people write it."""
    return f"{number:,.0f}"


def many(number: int, one: str, more: str = "") -> str:
    """`1 event`, `2 events`."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def state_says(word: str) -> str:
    """What a state or outcome means."""
    return STATES.get(word, "")


def reason_says(reason: str | None) -> str:
    """What a reason means."""
    return REASONS.get(reason or "", ("", ""))[0]


def remedy(reason: str | None) -> str:
    """What to do about it; "" for nothing."""
    return REASONS.get(reason or "", ("", ""))[1]


def plain(word: str | None) -> str:
    """`last_owner` as `last owner`."""
    return (word or "").replace("_", " ").replace(".", " ")


#: What every template may use.
SHOWN: Mapping[str, Callable[..., Any]] = {
    "age": age,
    "ago": ago,
    "count": count,
    "latency": latency,
    "many": many,
    "moment": moment,
    "plain": plain,
    "reason_says": reason_says,
    "remedy": remedy,
    "state_says": state_says,
}
