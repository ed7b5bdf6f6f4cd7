"""Resources as answers: what the identity provider told, under the truth (RFC 7644, 3.9)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from worker.adapters.scim.attributes import Attribute, Kind, Table, table
from worker.adapters.scim.errors import invalid_value
from worker.adapters.scim.schemas import STATE

Shown = dict[str, Any]

_ALWAYS = ("schemas", "id")


@dataclass(frozen=True, slots=True)
class Projection:
    """Which attributes an answer has: of each part ("" or a URN), names and their sub-names.

    An empty set of sub-names means all of it. is_listed: only these; else all but these.
    """

    is_listed: bool
    parts: Mapping[str, Mapping[str, frozenset[str]]]

    def wants(self, name: str, part: str = "") -> bool:
        """Whether any of the attribute is in the answer."""
        found = self.parts.get(part, {})
        if self.is_listed:
            return name in found or "" in found or name in _ALWAYS
        return not (name in found and not found[name]) and "" not in found


def shown(
    document: Mapping[str, Any],
    *,
    location: str,
    version: int | str,
    overlay: Mapping[str, Any],
    attributes: Sequence[str] = (),
    excluded: Sequence[str] = (),
    with_state: bool = False,
) -> Shown:
    """The resource as it is answered.

    overlay: what the service knows better or in addition, written over the document: `id`,
    `meta` (created and lastModified), `active`, `groups` or `members`, and the extension of our
    own. attributes, excluded: as the request gives them. with_state: also what is returned on
    request only, as if it were asked for. Raises SCIMError.
    """
    kind: Kind = "User" if "userName" in document else "Group"
    whole: Shown = {"schemas": [], **document, **overlay}
    if STATE in whole:
        whole[STATE] = {**document.get(STATE, {}), **overlay.get(STATE, {})}
    whole["meta"] = {
        "resourceType": kind,
        **overlay.get("meta", {}),
        "location": location,
        "version": f'W/"{version}"',
    }
    fields = table(kind)
    wanted = projection(kind, tuple(attributes), tuple(excluded))
    if STATE in whole and not with_state and (wanted is None or not wanted.is_listed):
        _leave_out_state(whole, fields)
    # RFC 7643, 3: of what is there, and of nothing else.
    whole["schemas"] = [fields.urn, *(urn for urn in whole if urn.lower() in fields.extensions)]
    return whole if wanted is None else _projected(whole, wanted)


def _leave_out_state(whole: Shown, fields: Table) -> None:
    """What is returned on request (RFC 7643, 7), where nothing was requested by name."""
    attributes = fields.extensions[STATE.lower()][1]
    kept = {
        name: value
        for name, value in whole.pop(STATE).items()
        if attributes[name.lower()].returned != "request"
    }
    if kept:
        whole[STATE] = kept


#: `emails[type eq "work"]`, which is a path and no name, is asked for all the same.
_CHOICE = re.compile(r"\[[^\]]*\]")


@lru_cache(maxsize=256)
def projection(
    kind: Kind, attributes: tuple[str, ...] = (), excluded: tuple[str, ...] = ()
) -> Projection | None:
    """What the parameters of a request ask for; None for everything.

    Names that no schema has are passed over. Raises SCIMError where both are given.
    """
    if attributes and excluded:
        raise invalid_value("attributes and excludedAttributes exclude each other")
    if not attributes and not excluded:
        return None
    parts: dict[str, dict[str, frozenset[str]]] = {}
    for text in attributes or excluded:
        found = _named(table(kind), text.strip())
        if found is None or (excluded and found[1] in _ALWAYS):
            continue
        part, name, sub = found
        held = parts.setdefault(part, {})
        whole = name in held and not held[name]
        held[name] = frozenset() if whole or not sub else held.get(name, frozenset()) | {sub}
    return Projection(bool(attributes), parts)


def _named(fields: Table, text: str) -> tuple[str, str, str] | None:
    """Part, attribute and sub-attribute that a name means (RFC 7644, 3.10).

    A filter in it is passed over: all values are shown.
    """
    text = _CHOICE.sub("", text)
    whole = fields.extensions.get(text.lower())
    if whole is not None:
        return whole[0], "", ""
    urn, _, name = text.rpartition(":")
    found = fields.schema(urn) if urn else (None, fields.core)
    if found is None:
        return None
    head, _, tail = name.partition(".")
    attribute: Attribute | None = found[1].get(head.lower())
    if attribute is None:
        return None
    sub = attribute.subs.get(tail.lower())
    if tail and sub is None:
        return None
    return found[0] or "", attribute.name, sub.name if sub else ""


def _projected(whole: Shown, wanted: Projection) -> Shown:
    answer: Shown = {}
    for name, value in whole.items():
        if ":" in name:
            part = _part(value, wanted, name)
            if part:
                answer[name] = part
        elif wanted.wants(name):
            answer[name] = _sub_projected(value, wanted, "", name)
    return answer


def _part(value: Mapping[str, Any], wanted: Projection, urn: str) -> Shown:
    return {
        name: _sub_projected(one, wanted, urn, name)
        for name, one in value.items()
        if wanted.wants(name, urn)
    }


def _sub_projected(value: Any, wanted: Projection, part: str, name: str) -> Any:
    subs = wanted.parts.get(part, {}).get(name, frozenset())
    if not subs:
        return value
    if isinstance(value, list):
        return [_sub_projected(one, wanted, part, name) for one in value]
    if not isinstance(value, dict):
        return value
    return {one: given for one, given in value.items() if (one in subs) is wanted.is_listed}
