"""JSON patches (RFC 6902) by a library, with errors in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from domain.errors import UsageError

#: What the library says of patches that do not fit, or are none.
_WRONG = (
    jsonpatch.JsonPatchException,
    JsonPointerException,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def apply_patch(document: object, patch: Sequence[Mapping[str, Any]]) -> object:
    """A copy of the document with the patch made to it; raises UsageError where it does not fit."""
    try:
        return jsonpatch.JsonPatch([dict(one) for one in patch]).apply(document)
    except _WRONG as error:
        raise UsageError(f"the patch does not fit: {error}") from error
