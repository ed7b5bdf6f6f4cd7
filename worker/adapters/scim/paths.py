"""Where an operation of a PATCH goes to (RFC 7644, 3.5.2), and which values a filter selects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from worker.adapters.scim.attributes import Attribute, Kind, Table, table
from worker.adapters.scim.errors import invalid_filter, invalid_path
from worker.adapters.scim.values import said

if TYPE_CHECKING:
    from scim2_models.path import AttrPath, Comparison, FilterNode, PathNode

#: Characters of a path, and of all paths of a request that need the whole grammar: reading them
#: costs a microsecond a character, and a body may have sixteen million.
MAX_PATH = 2_048
MAX_COSTLY = 65_536

Entry = Mapping[str, Any]
Test = Callable[[Entry], bool]

_NAME = r"\$?[A-Za-z][A-Za-z0-9$_-]*"
# What nearly every request has is read here: the full grammar takes a hundred microseconds, and
# one PATCH may take ten thousand members out of a group. Both read these forms alike (tests).
_PLAIN = re.compile(rf"({_NAME})(?:\.({_NAME}))?")
_CHOSEN = re.compile(rf'({_NAME})\[ ?({_NAME}) +[eE][qQ] +"([^"\\\x00-\x1f]*)" ?\](?:\.({_NAME}))?')


@dataclass(frozen=True, slots=True)
class Selection:
    """Some values of a multi-valued attribute.

    test: whether a value is one of them. described: the sub-attributes of the value that the
    filter describes, where it is nothing but comparisons with eq joined by and. keys: the only
    values that `value` may have, where the filter names them.
    """

    test: Test
    described: Mapping[str, Any] | None
    keys: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Target:
    """An attribute, some of its values, or one of its sub-attributes.

    part: URN of the extension, None for the core schema. attribute: None for the whole part.
    """

    part: str | None
    attribute: Attribute | None = None
    sub: Attribute | None = None
    selection: Selection | None = None


@lru_cache(maxsize=1024)
def target(kind: Kind, text: str, *, strict: bool = False) -> Target:
    """Where the path leads; raises SCIMError invalidPath or invalidFilter."""
    fields = table(kind)
    path = text if strict else _with_colon(fields, text.strip())
    if not 0 < len(path) <= MAX_PATH:
        raise invalid_path(f"a path has 1 to {MAX_PATH} characters")
    if ":" in path and (schema := fields.schema(path)) is not None:
        return Target(schema[0])
    plain, chosen = _PLAIN.fullmatch(path), _CHOSEN.fullmatch(path)
    if plain is not None:
        return _to_attribute(fields, None, plain[1], plain[2], strict=strict)
    if chosen is not None:
        found = _to_attribute(fields, None, chosen[1], chosen[4], strict=strict)
        return _selecting(found, _equal(found, chosen[2], chosen[3], strict=strict))
    return _read(fields, path, strict=strict)


def _with_colon(fields: Table, path: str) -> str:
    """A path of Microsoft's own collection, `urn:..:enterprise:2.0:User.manager`, by the RFC."""
    lowered = path.lower()
    urn = next((one for one in fields.extensions if lowered.startswith(f"{one}.")), None)
    return path if urn is None else f"{urn}:{path[len(urn) + 1 :]}"


def cost(text: str) -> int:
    """How many characters the whole grammar has to read."""
    path = text.strip()
    return 0 if _PLAIN.fullmatch(path) or _CHOSEN.fullmatch(path) else len(path)


def _read(fields: Table, path: str, *, strict: bool) -> Target:
    """By the whole grammar."""
    # Half a second that a process without SCIM should not pay.
    from scim2_models import Path, SCIMException  # noqa: PLC0415
    from scim2_models.path import AttrPath, ValuePath  # noqa: PLC0415

    try:
        node: PathNode | None = Path(path).ast
    except (SCIMException, ValueError):
        raise invalid_path(f"cannot read the path {said(path)!r}") from None
    if node is None:
        raise invalid_path("a path is needed")
    if isinstance(node, AttrPath):
        return _to_attribute(fields, node.uri, node.attr, node.sub_attr, strict=strict)
    head = node.attr_path
    if isinstance(node, ValuePath):
        found = _to_attribute(fields, head.uri, head.attr, node.sub_attr, strict=strict)
        return _selecting(found, _selection(found, node.val_filter, strict=strict))
    # emails.type eq "work" means emails[type eq "work"] (RFC 7644, erratum 7122).
    found = _to_attribute(fields, head.uri, head.attr, None, strict=strict)
    return _selecting(found, _selection(found, _inner(node), strict=strict))


def _inner(node: Any) -> FilterNode:
    from scim2_models.path import AttrPath, Comparison, Present  # noqa: PLC0415

    name = AttrPath(node.attr_path.sub_attr or "value")
    return Present(name) if isinstance(node, Present) else Comparison(name, node.op, node.value)


def _to_attribute(
    fields: Table, urn: str | None, name: str, sub: str | None, *, strict: bool
) -> Target:
    part, attributes = _part(fields, urn, name, strict=strict)
    attribute = attributes.get(name.lower())
    if attribute is None:
        raise invalid_path(f"no attribute {said(name)!r}")
    if sub is None:
        return Target(part, attribute)
    found = attribute.subs.get(sub.lower())
    if found is None:
        raise invalid_path(f"no attribute {said(sub)!r} in {attribute.name}")
    return Target(part, attribute, found)


def _part(
    fields: Table, urn: str | None, name: str, *, strict: bool
) -> tuple[str | None, Mapping[str, Attribute]]:
    """The schema that the URN names; without one the core, or the extension that has the name."""
    if urn is not None:
        schema = fields.schema(urn)
        if schema is None:
            raise invalid_path(f"no schema {said(urn)!r}")
        return schema
    if not strict and name.lower() not in fields.core:
        for part in fields.extensions.values():
            if name.lower() in part[1]:
                return part
    return None, fields.core


def _selecting(found: Target, selection: Selection) -> Target:
    return Target(found.part, found.attribute, found.sub, selection)


def _chosen_from(found: Target) -> Attribute:
    assert found.attribute is not None
    if not (found.attribute.is_multi and found.attribute.is_complex):
        raise invalid_path(f"{found.attribute.name} has no values to select from")
    return found.attribute


def _selection(found: Target, node: FilterNode, *, strict: bool) -> Selection:
    attribute = _chosen_from(found)
    test = _test(attribute, node, strict=strict)
    return Selection(test, _described(attribute, node, strict=strict), _keys(node))


def _equal(found: Target, name: str, value: str, *, strict: bool) -> Selection:
    """[name eq "value"], as `_selection` reads it."""
    attribute = _chosen_from(found)
    sub = _sub(attribute, name)
    operand = _operand(sub, value, strict=strict)
    keys = (value,) if sub.name == "value" else None
    return Selection(_compares(sub, "eq", operand), {sub.name: operand}, keys)


def _test(attribute: Attribute, node: FilterNode, *, strict: bool) -> Test:
    """The filter as a function of one value. Recursion is bounded: the grammar allows 32 levels."""
    from scim2_models.path import Comparison, LogicalExpr, Not, Present  # noqa: PLC0415

    if isinstance(node, Comparison):
        sub = _sub(attribute, _simple(node.attr_path))
        return _compares(sub, node.op.value, _operand(sub, node.value, strict=strict))
    if isinstance(node, Present):
        name = _sub(attribute, _simple(node.attr_path)).name
        return lambda entry: name in entry
    if isinstance(node, Not):
        inner = _test(attribute, node.expr, strict=strict)
        return lambda entry: not inner(entry)
    if isinstance(node, LogicalExpr):
        tests = [_test(attribute, term, strict=strict) for term in node.terms]
        if node.op.value == "and":
            return lambda entry: all(test(entry) for test in tests)
        return lambda entry: any(test(entry) for test in tests)
    raise invalid_filter("a filter inside a filter")


def _simple(path: AttrPath) -> str:
    if path.sub_attr is not None or path.uri is not None:
        raise invalid_filter(f"{said(path)!r} is not the name of a sub-attribute")
    return path.attr


def _sub(attribute: Attribute, name: str) -> Attribute:
    found = attribute.subs.get(name.lower())
    if found is None:
        raise invalid_filter(f"no attribute {said(name)!r} in {attribute.name}")
    return found


def _operand(sub: Attribute, value: Any, *, strict: bool) -> Any:
    """What a filter compares with, of the sub-attribute's type. Entra writes primary eq "True"."""
    if value is None:
        return None
    if sub.type == "boolean":
        if isinstance(value, str) and not strict and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise invalid_filter(f"{sub.name} is compared with true or false")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and not strict:
        return str(value)
    if not isinstance(value, str):
        raise invalid_filter(f"{sub.name} is compared with a text")
    return value


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "co": lambda left, right: right in left,
    "sw": lambda left, right: left.startswith(right),
    "ew": lambda left, right: left.endswith(right),
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}


def _compares(sub: Attribute, op: str, operand: Any) -> Test:
    name, compare = sub.name, _COMPARISONS[op]
    if op not in {"eq", "ne"} and not isinstance(operand, str):
        raise invalid_filter(f"{name} cannot be compared with {op}")
    right = _folded(sub, operand)

    def test(entry: Entry) -> bool:
        if name not in entry:
            return (op == "eq" and operand is None) or (op == "ne" and operand is not None)
        return compare(_folded(sub, entry[name]), right)

    return test


def _folded(sub: Attribute, value: Any) -> Any:
    return value.lower() if isinstance(value, str) and not sub.is_case_exact else value


def _terms(node: FilterNode, joined_by: str) -> list[Comparison] | None:
    """The comparisons with eq that the filter is made of; None if there is anything else in it."""
    from scim2_models.path import Comparison, LogicalExpr  # noqa: PLC0415

    joined = isinstance(node, LogicalExpr) and node.op.value == joined_by
    terms = node.terms if isinstance(node, LogicalExpr) and joined else (node,)
    equal = [one for one in terms if isinstance(one, Comparison) and one.op.value == "eq"]
    return equal if len(equal) == len(terms) else None


def _described(attribute: Attribute, node: FilterNode, *, strict: bool) -> dict[str, Any] | None:
    terms = _terms(node, "and")
    if terms is None or any(one.value is None for one in terms):
        return None
    subs = ((_sub(attribute, one.attr_path.attr), one.value) for one in terms)
    return {sub.name: _operand(sub, value, strict=strict) for sub, value in subs}


def _keys(node: FilterNode) -> tuple[str, ...] | None:
    terms = _terms(node, "or")
    if terms is None:
        return None
    named = all(one.attr_path.attr.lower() == "value" for one in terms)
    return tuple(str(one.value) for one in terms) if named else None
