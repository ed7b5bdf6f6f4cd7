"""Whether a list that was read page by page proves who is missing in it (S3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class ListRead:
    """A list of the IdP that was read to its last page.

    count: different external ids in it. first, again: `page_digest` of the first page as it was
    read, and as it was after all others. total, total_again: how many the IdP said that there are,
    then and at the end; None if it says nothing.
    """

    count: int
    first: str
    again: str
    total: int | None = None
    total_again: int | None = None


def page_digest(keys: Iterable[str]) -> str:
    """What a page names, in whatever order, in 64 characters."""
    named = sorted(keys)
    told = "".join(f"{len(key)}:{key}" for key in named)
    return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def doubt(read: ListRead, *, known: int) -> str:
    """Why the list proves nothing of whoever is missing in it, in words; "" where it is complete.

    known: how many we know of. That the list says something of whoever is in it, it leaves open.
    """
    if read.count == 0 and known:
        return f"it named nobody, and we know of {known:,}"
    if read.total is not None and read.total != read.count:
        return f"it says that there are {read.total:,}, and named {read.count:,}"
    if read.total != read.total_again:
        return (
            f"there were {_many(read.total)} as it began and {_many(read.total_again)} at its end"
        )
    if read.first != read.again:
        return "its first page had changed when all others had been read"
    return ""


def _many(count: int | None) -> str:
    return "an unknown number" if count is None else f"{count:,}"
