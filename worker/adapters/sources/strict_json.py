"""JSON as every store and every parser behind us can take it, or an UnparseableError."""

from __future__ import annotations

import json

import orjson

from domain.ports import UnparseableError

MAX_DEPTH = 64
_MAX_PLACE = 200
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
# Several times as fast over an ordinary body as a regular expression.
_DIGITS_AS_ZEROS = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG_NUMBER = b"0" * len(str(-_SMALLEST))
_TOO_BIG = object()


def read_json(body: bytes) -> object:
    """The document in the body; of equal keys the last one counts.

    Refused with the place where it can be told: no UTF-8, a byte order mark, no JSON, NaN,
    lone surrogates, NUL in a string or key, more than 64 levels, integers beyond 64 bit.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The cause holds the whole body: it must not travel with the error into a log.
        raise UnparseableError("", f"not JSON as we take it: {error}") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _refuse_deep(document)
    # Only these two get past orjson, and both leave a trace in the raw bytes: ordinary
    # bodies are never walked.
    if b"\\u0000" in body or _LONG_NUMBER in body.translate(_DIGITS_AS_ZEROS):
        _refuse_unstorable(json.loads(body, parse_int=_integer))
    return document


def _refuse_deep(document: object) -> None:
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child for node in level for child in _children(node) if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise UnparseableError("", f"nested deeper than {MAX_DEPTH} levels")


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _integer(digits: str) -> object:
    # Few hundred digits at most: orjson has refused what is beyond a double.
    value = int(digits)
    return value if _SMALLEST <= value <= _LARGEST else _TOO_BIG


def _refuse_unstorable(document: object) -> None:
    fault = _fault(document)
    if fault is not None:
        place, why = fault
        raise UnparseableError(place.removeprefix(".")[:_MAX_PLACE], why)


def _fault(value: object) -> tuple[str, str] | None:
    """Where below this value the first fault is, and what it is; at most 64 calls deep."""
    if value is _TOO_BIG:
        return "", "integer beyond 64 bit"
    if isinstance(value, str):
        return ("", "NUL in a string") if "\0" in value else None
    if isinstance(value, dict):
        return _fault_in_object(value)
    if isinstance(value, list):
        return _fault_in_list(value)
    return None


def _fault_in_object(members: dict[str, object]) -> tuple[str, str] | None:
    for key, child in members.items():
        if "\0" in key:
            return "", "NUL in a key"
        fault = _fault(child)
        if fault is not None:
            return f".{key}{fault[0]}", fault[1]
    return None


def _fault_in_list(items: list[object]) -> tuple[str, str] | None:
    for index, child in enumerate(items):
        fault = _fault(child)
        if fault is not None:
            return f"[{index}]{fault[0]}", fault[1]
    return None
