"""Reading members of a decoded document: lenient peeks for `split`, strict values for `parse`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from domain.ports import UnparseableError
from domain.values import is_mailable

MAX_ID = 255


def peek(value: object, *path: str) -> object:
    """The member at the path, or None where there is none; never raises."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def peek_text(value: object, *path: str) -> str:
    """The string at the path, or "" where there is none; never raises."""
    found = peek(value, *path)
    return found if isinstance(found, str) else ""


def moment(value: object) -> datetime | None:
    """The UTC moment that an RFC 3339 text names, or None for anything else."""
    if not isinstance(value, str) or value[10:11] not in {"T", "t", " "}:
        return None
    try:
        read = datetime.fromisoformat(value.upper())
        return None if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def epoch(value: object, per_second: int = 1) -> datetime | None:
    """The UTC moment that a count since 1970 names, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / per_second, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def address(value: object) -> str | None:
    """The trimmed e-mail address, or None if no mail could be sent to it.

    Control characters and blanks are refused: the text ends up in the header of a mail.
    """
    if not isinstance(value, str):
        return None
    return value.strip() if is_mailable(value) else None


def as_object(value: object, place: str) -> dict[str, Any]:
    """The value, which must be a JSON object."""
    if not isinstance(value, dict):
        raise UnparseableError(place, "not an object")
    return value


def as_list(value: object, place: str) -> list[Any]:
    """The value, which must be a JSON array."""
    if not isinstance(value, list):
        raise UnparseableError(place, "not a list")
    return value


def as_id(value: object, place: str) -> str:
    """The value, which must be an identifier: a string of 1 to 255 characters."""
    if not isinstance(value, str):
        raise UnparseableError(place, "not a string")
    if not 0 < len(value) <= MAX_ID:
        raise UnparseableError(place, f"not 1 to {MAX_ID} characters")
    return value


def event_key(value: object, place: str) -> str:
    """The source's event id, of any length: it is stored as a digest (D9)."""
    if not isinstance(value, str) or not value:
        raise UnparseableError(place, "no event id")
    return value


def canonical(value: object) -> bytes:
    """Bytes that are equal for equal JSON, whatever the order of members and the blanks."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def nth(events: object, index: int) -> object:
    """The event at this index of a delivery."""
    if not isinstance(events, list) or not 0 <= index < len(events):
        raise UnparseableError("", f"no event {index} in this delivery")
    return events[index]
