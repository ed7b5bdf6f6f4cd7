"""Texts in requests: what a database and a mail header can hold, and ids as paths carry them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from domain.display import JOINERS, has_hidden
from domain.errors import NothingFoundError
from domain.keys import ENCODED, behind_group_ref

LONGEST = 320


def is_text(text: str) -> bool:
    """Whether it is free of control characters and lone halves of others."""
    return all(char >= " " and char != "\x7f" and not "\ud800" <= char <= "\udfff" for char in text)


def _checked(text: str) -> str:
    if not is_text(text):
        raise ValueError("holds a control character")
    return text


def _shown(text: str) -> str:
    if has_hidden(text, allowed=JOINERS):
        raise ValueError("holds a character that nobody sees, or that turns text around")
    return text


#: One line of text.
Text = Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(_checked)]
#: One that people will be shown.
Shown = Annotated[Text, AfterValidator(_shown)]


def _moment(given: object) -> datetime:
    """One message for whatever is wrong, since the framework's own tell of what was sent."""
    try:
        found = datetime.fromisoformat(str(given))
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("no time such as 2026-01-31T09:00:00Z")


#: A time, in UTC; it has to name its zone.
Moment = Annotated[datetime, BeforeValidator(_moment)]


def group_row(ref: str) -> str:
    """The id that a database is asked for, of `group_ref` or as it is; raises NothingFoundError."""
    id_ = behind_group_ref(ref) if ref.startswith(ENCODED) else ref
    if id_ is None or not is_text(ref):
        raise NothingFoundError("group", ref)
    return id_


def person_ref(ref: str) -> str:
    """An id of a person that a database can be asked for; raises NothingFoundError."""
    return _plain(ref, "user")


def _plain(ref: str, what: str) -> str:
    if not ref.isascii() or not ref.isprintable() or len(ref) > LONGEST or ":" in ref:
        raise NothingFoundError(what, ref)
    return ref
