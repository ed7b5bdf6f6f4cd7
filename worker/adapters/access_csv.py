"""An access review as CSV, for a spreadsheet: a row for each interval of access."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

COLUMNS = (
    *("group_id", "group", "connection", "group_external_id"),
    *("person_id", "email", "external_id", "state", "erased"),
    *("member_from", "member_from_by", "member_to", "member_to_by"),
    *("access_from", "access_from_by", "access_to", "access_to_by"),
)
#: With these a spreadsheet takes a cell for a formula, whatever a stranger called a group.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Line = Mapping[str, Any]


def as_csv(lines: Iterable[Line]) -> Iterator[str]:
    """The lines of a review as rows of CSV (RFC 4180); no access leaves its columns empty."""
    yield _row(COLUMNS)
    for line in lines:
        if line["kind"] != "membership":
            continue
        for part in line["access"] or [None]:
            yield _row(_cells(line, part))


def _cells(line: Line, part: Line | None) -> list[Any]:
    group, person = line["group"], line["person"]
    cells = [group["id"], group["name"], group["connection"], group["external_id"]]
    cells += [person[name] for name in ("id", "email", "external_id", "state", "erased")]
    cells += [*_moment(line["member"]["from"]), *_moment(line["member"]["to"])]
    if part is None:
        return [*cells, "", "", "", ""]
    return [*cells, *_moment(part["from"]), *_moment(part["to"])]


def _moment(told: Line | None) -> tuple[str, str]:
    """When, and by whom; "" for what lasts."""
    if told is None:
        return "", ""
    if "at" not in told:
        return ("not recorded" if told.get("recorded") is False else f"before {told['before']}"), ""
    by = told["by"]
    words = [by["actor"]]
    if "event" in by:
        words.append(f"event {by['event']}")
    if "type" in by:
        words.append(f"{by['type']} {by['external_id']} of {by['occurred_at']}")
    if "reason" in by:
        words.append(by["reason"])
    return str(told["at"]), ": ".join(words)


def _row(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([_harmless(cell) for cell in cells])
    return text.getvalue()


def _harmless(cell: Any) -> str:
    told = "" if cell is None else str(cell)
    return f"'{told}" if told.startswith(_FORMULA) else told
