"""Members of groups as ids: a group may have a hundred thousand, so they pass through no model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from worker.adapters.scim.attributes import MAX_EXTERNAL_ID
from worker.adapters.scim.errors import invalid_value


def member_ids(value: Any, place: str, *, strict: bool) -> Iterable[str]:
    """The ids that a list of members gives, in order and without doubles; raises SCIMError.

    `$ref` stands in for a missing `value`. Lenient reading takes one member without a list,
    and a bare id for a member.
    """
    if not isinstance(value, list):
        if strict:
            raise invalid_value(f"{place}: a list is needed")
        value = [value]
    return dict.fromkeys(
        _member_id(one, place, index, strict=strict) for index, one in enumerate(value)
    )


def _member_id(member: Any, place: str, index: int, *, strict: bool) -> str:
    # The ordinary member is answered first: this runs a hundred thousand times.
    if isinstance(member, dict):
        found = member.get("value")
        if len(member) > 1 or not isinstance(found, str):
            found = _from_members(member, f"{place}[{index}]")
    else:
        found = None if strict else member
    if not isinstance(found, str) or not 0 < len(found) <= MAX_EXTERNAL_ID or "\0" in found:
        raise invalid_value(f"{place}[{index}]: the id of a member is needed as value")
    return found


def _from_members(member: dict[str, Any], place: str) -> object:
    named = {name.lower(): given for name, given in member.items()}
    kind = named.get("type")
    if isinstance(kind, str) and kind.lower() == "group":
        raise invalid_value(f"{place}: a group cannot be a member of a group here")
    if named.get("value") is not None:
        return named["value"]
    reference = named.get("$ref")
    return reference.rstrip("/").rpartition("/")[2] if isinstance(reference, str) else None


@dataclass(slots=True)
class Membership:
    """What the operations of a PATCH, one after the other, make of a group's members.

    replaced: the whole list, once an operation gave one; then added and removed are empty.
    """

    added: dict[str, None] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    replaced: dict[str, None] | None = None

    def add(self, ids: Iterable[str]) -> None:
        """They belong to the group from now on."""
        for one in ids:
            if self.replaced is not None:
                self.replaced[one] = None
            else:
                self.removed.pop(one, None)
                self.added[one] = None

    def remove(self, ids: Iterable[str]) -> None:
        """They do not belong to it any more."""
        for one in ids:
            if self.replaced is not None:
                self.replaced.pop(one, None)
            else:
                self.added.pop(one, None)
                self.removed[one] = None

    def replace(self, ids: Iterable[str]) -> None:
        """These and nobody else belong to it."""
        self.replaced = dict.fromkeys(ids)
        self.added.clear()
        self.removed.clear()
