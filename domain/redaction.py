"""A body as those see it who may not read what people's data stands in."""

from __future__ import annotations

import json
from typing import Any

#: What stands in place of a text.
HIDDEN = "…"
#: What says how a body is built, and nothing of anybody.
_TELLING = frozenset({"type", "eventtype", "event_type", "event", "schemas", "op", "path", "kind"})
#: The longest word that is taken for such a name.
LONGEST = 80
#: Where a body is nested deeper, all of it is hidden.
DEEPEST = 40


def redacted(body: str) -> str:
    """The same document with its texts and numbers hidden; what is no JSON is hidden whole."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return HIDDEN
    return json.dumps(_hidden(document, "", 0), ensure_ascii=False)


def _hidden(value: Any, name: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if depth >= DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {_name(key): _hidden(below, key, depth + 1) for key, below in value.items()}
    if isinstance(value, list):
        return [_hidden(below, name, depth + 1) for below in value]
    return value if _is_telling(value, name) else HIDDEN


def _name(key: str) -> str:
    """A name of a member; one that holds an address or a number is no name."""
    is_name = len(key) <= LONGEST and "@" not in key and not any(c.isdigit() for c in key)
    return key if is_name else HIDDEN


def _is_telling(value: object, name: str) -> bool:
    is_word = isinstance(value, str) and len(value) <= LONGEST and "@" not in value
    return is_word and name.lower() in _TELLING and " " not in str(value)
