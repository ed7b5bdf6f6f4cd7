"""Texts in requests: what a database and a mail header can hold, and ids as paths carry them."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from domain.errors import NothingFoundError
from domain.keys import ENCODED, group_ref

LONGEST = 320


def is_text(text: str) -> bool:
    """Whether it is free of control characters and lone halves of others."""
    return all(char >= " " and char != "\x7f" and not "\ud800" <= char <= "\udfff" for char in text)


def _checked(text: str) -> str:
    if not is_text(text):
        raise ValueError("holds a control character")
    return text


#: One line of text.
Text = Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(_checked)]


def group_row(ref: str) -> str:
    """The id behind `group_ref`; raises NothingFoundError."""
    try:
        text = urlsafe_b64decode(ref.removeprefix(ENCODED).encode("ascii") + b"==").decode()
    except (ValueError, UnicodeError):
        raise NothingFoundError("group", ref) from None
    if not ref.startswith(ENCODED) or "\0" in text or group_ref(text) != ref:
        raise NothingFoundError("group", ref)
    return text


def person_ref(ref: str) -> str:
    """An id of a person that a database can be asked for; raises NothingFoundError."""
    if not ref.isascii() or not ref.isprintable() or len(ref) > LONGEST:
        raise NothingFoundError("user", ref)
    return ref
