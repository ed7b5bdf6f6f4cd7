"""An event that is edited before it is tried again: the original, the patch, the new one (G8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.intake import NewEvent

#: The operations of a JSON patch (RFC 6902).
Patch = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Original:
    """A dead event and its body, as it came. edits: how often it was edited before."""

    id: int
    account: str
    source: str
    ordinal: int
    type: str
    subject: str
    external_id: str
    occurred_at: datetime
    body: bytes
    edits: int


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be stored. body: what the new event's delivery holds."""

    original: Original
    event: NewEvent
    body: bytes
    patch: Patch
    actor: str
    reason: str
