"""Pages by cursor: `limit`, `cursor` in, `next` out."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints

from domain.errors import UsageError
from worker.web.api.texts import Text

Item = TypeVar("Item")
LARGEST = 1_000


class Paged(BaseModel):
    """Where a page begins and how long it may be; a parameter that is not known is refused."""

    model_config = {"extra": "forbid"}

    limit: int = Field(100, ge=1, le=LARGEST, description="Items on a page, at most.")
    cursor: Annotated[str, StringConstraints(max_length=4_000)] | None = Field(
        None, description="`next` of the page before."
    )
    account: Text | None = Field(
        None, description="Id of the account; needed with a token that is for all of them."
    )

    @property
    def after(self) -> str:
        """What the page begins behind, "" for the first; raises UsageError."""
        return opened(self.cursor) if self.cursor is not None else ""


class Page(BaseModel, Generic[Item]):
    """Some of many. A page may hold fewer than asked for, none even, and still not be the last."""

    items: list[Item]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


PagedQuery = Annotated[Paged, Query()]


def sealed(after: str | None) -> str | None:
    """A cursor: opaque to whoever gets it, and of no secret."""
    return urlsafe_b64encode(after.encode()).decode().rstrip("=") if after is not None else None


def opened(cursor: str) -> str:
    """The text in a cursor; raises UsageError."""
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"==").decode()
    except (ValueError, UnicodeError):
        text = ""
    # What is no base 64 is passed over in decoding.
    if not text or "\0" in text or sealed(text) != cursor:
        raise UsageError("cursor: take it as `next` of the page before gave it")
    return text
