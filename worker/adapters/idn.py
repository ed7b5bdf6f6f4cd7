"""Hosts in the scripts of the world: A-labels for the tables, the reader's letters for people."""

from __future__ import annotations

import idna

from domain.connecting import check_domain
from domain.domains import BELOW
from domain.errors import UsageError
from domain.lookalikes import suspicion


def to_entry(text: str) -> str:
    """What somebody typed as an entry of a list of domains, in A-labels (IDNA 2008, UTS 46).

    Takes either form, any case, a final dot and `*.` in front. Raises UsageError.
    """
    typed = text.strip().removeprefix("@")
    below = BELOW if typed.startswith(BELOW) else ""
    host = typed.removeprefix(BELOW).rstrip(".")
    if host.isascii() and "xn--" not in host.lower():
        return check_domain(below + host)
    try:
        return check_domain(below + idna.encode(host, uts46=True).decode())
    except idna.IDNAError as error:
        raise UsageError(f"{text!r} is no domain: {error}") from error


def to_read(entry: str) -> str:
    """The entry in the letters that its people write it with."""
    below = BELOW if entry.startswith(BELOW) else ""
    try:
        return below + idna.decode(entry.removeprefix(BELOW))
    except idna.IDNAError:
        return entry


def both_forms(entry: str) -> str:
    """`xn--bcher-kva.example (bücher.example)`, or the one form where there is one."""
    reads = to_read(entry)
    return entry if reads == entry else f"{entry} ({reads})"


def warning(entry: str) -> str | None:
    """Why an entry may be meant to be taken for another host; None if nothing is odd."""
    return suspicion(to_read(entry).removeprefix(BELOW))
