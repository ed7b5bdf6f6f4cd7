"""Times as operators write them: a moment, or how long ago or from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from domain.errors import UsageError

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime) -> datetime:
    """An ISO 8601 time, UTC where it names no zone, or an age such as 10m, 2h, 3d.

    Raises UsageError.
    """
    try:
        span = _span(text)
        return _read(text) if span is None else now - span
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time: 2026-01-31T10:00Z, or 10m, 2h, 3d ago") from error


def parse_ahead(text: str, now: datetime) -> datetime:
    """An ISO 8601 time, UTC where it names no zone, or 30m, 8h, 3d from now; raises UsageError."""
    try:
        span = _span(text)
        return _read(text) if span is None else now + span
    except (ValueError, OverflowError) as error:
        told = f"{text!r} is no time: 2026-01-31T18:00Z, or 30m, 8h, 3d from now"
        raise UsageError(told) from error


def moved(moment: datetime, by: timedelta) -> datetime:
    """A moment so much later, or the first or the last one that there is."""
    try:
        return moment + by
    except OverflowError:
        return FIRST if by < timedelta(0) else LAST


def _span(text: str) -> timedelta | None:
    found = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found is not None else None


def _read(text: str) -> datetime:
    """In UTC, where a zone may put the first and the last day out of reach."""
    given = datetime.fromisoformat(text)
    return given.astimezone(UTC) if given.tzinfo is not None else given.replace(tzinfo=UTC)
