"""Times as operators write them: a moment, or how long ago or from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from domain.errors import UsageError

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime) -> datetime:
    """An ISO 8601 time, UTC where it names no zone, or an age such as 10m, 2h, 3d.

    Raises UsageError.
    """
    found = _AGO.fullmatch(text)
    try:
        if found is not None:
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time: 2026-01-31T10:00Z, or 10m, 2h, 3d ago") from error
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


def parse_ahead(text: str, now: datetime) -> datetime:
    """An ISO 8601 time, UTC where it names no zone, or 30m, 8h, 3d from now; raises UsageError."""
    found = _AGO.fullmatch(text)
    try:
        if found is not None:
            return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        told = f"{text!r} is no time: 2026-01-31T18:00Z, or 30m, 8h, 3d from now"
        raise UsageError(told) from error
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)
