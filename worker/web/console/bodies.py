"""Bodies as they are read: indented, and their shape alone for who may not see them."""

from __future__ import annotations

import json
from typing import Any

#: What stands where a text or a number stood.
HIDDEN = "…"
#: Characters that a page shows of one body; a deeper document than this is shown as it came.
LONGEST, DEEPEST = 30_000, 50


def shown_body(text: str) -> tuple[str, bool]:
    """A body to be read, and whether it was shortened."""
    try:
        document = json.loads(text)
        indented = json.dumps(document, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        indented = text
    return indented[:LONGEST], len(indented) > LONGEST


def shape_of(text: str) -> str:
    """What was sent without what it says: names of attributes, truths, and how many of each."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return f"{len(text):,} characters that are no JSON"
    return json.dumps(_hidden(document, 0), indent=2, ensure_ascii=False)[:LONGEST]


def _hidden(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {name: _hidden(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one, depth + 1) for one in value]
    return value if isinstance(value, bool) or value is None else HIDDEN
