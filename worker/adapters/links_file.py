"""Files of links: JSON Lines as `links export` writes them (C1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from domain.moving import Verdict, Wanted

#: An external id is a word of the provider's, no document.
LONGEST_ID = 1024
_KINDS = ("user", "group")


def read_links(lines: Iterable[str]) -> Iterator[Wanted | Verdict]:
    """Each line that is not blank: what it wants, or why it cannot be understood."""
    for number, text in enumerate(lines, start=1):
        if text.strip():
            try:
                yield _wanted(number, json.loads(text))
            except (ValueError, RecursionError) as error:
                yield Verdict(Wanted(number, ""), "unreadable", str(error).partition("\n")[0])


def _wanted(number: int, document: Any) -> Wanted:
    if not isinstance(document, dict):
        raise ValueError("a line is one JSON object")  # noqa: TRY004 - as any other bad line
    kind = document.get("kind", "user")
    if kind not in _KINDS:
        raise ValueError(f"kind {kind!r}: user or group")
    external_id = _text(document, "external_id")
    if external_id is None:
        raise ValueError("external_id is missing")
    wanted = Wanted(
        number,
        external_id,
        kind,
        person=_text(document, "person"),
        email=_text(document, "email"),
        group=_text(document, "group"),
    )
    if kind == "user" and wanted.person is None and wanted.email is None:
        raise ValueError("person or email is needed, to say who is meant")
    if kind == "group" and wanted.group is None:
        raise ValueError("group is needed: the id that `links export` gives")
    return wanted


def _text(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} is no printable text")
    if len(value) > LONGEST_ID:
        raise ValueError(f"{name} is longer than {LONGEST_ID} characters")
    return value
