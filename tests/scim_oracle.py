"""What a filter means, said once more in plain Python over resources as they are shown.

Reads the tree of scim2-models, not the product's: so that binding and SQL are both under test.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from scim2_models import ScimFilter
from scim2_models.path import Comparison, FilterNode, LogicalExpr, Not, Present, ValuePath

from worker.adapters.scim.attributes import Attribute, Kind, Table, table
from worker.adapters.scim.filters import find_attribute


def matches(text: str, kind: Kind, resource: dict[str, Any]) -> bool:
    """Whether a resource is what the filter describes."""
    return _of(ScimFilter(text).ast, table(kind), resource)


def _of(node: FilterNode, attributes: Table, resource: dict[str, Any]) -> bool:
    if isinstance(node, LogicalExpr):
        found = [_of(term, attributes, resource) for term in node.terms]
        return all(found) if node.op == "and" else any(found)
    if isinstance(node, Not):
        return not _of(node.expr, attributes, resource)
    assert isinstance(node, Comparison | Present | ValuePath)
    path = node.attr_path
    known = find_attribute(attributes, path.uri, path.attr)
    assert known is not None
    urn, attribute = known
    home = resource.get(urn, {}) if urn else resource
    value = home.get(attribute.name)
    if isinstance(node, ValuePath):
        items = value if isinstance(value, list) else []
        return any(_in(node.val_filter, attribute, item) for item in items)
    if isinstance(node, Present):
        return is_full(_below(value, path.sub_attr))
    sub, leaf = path.sub_attr, attribute
    if sub is None and attribute.type == "complex":
        sub = "value"
    if sub is not None:
        leaf = attribute.subs[sub.lower()]
    return _holds(node, leaf, _below(value, sub))


def _below(value: Any, sub: str | None) -> Any:
    if sub is None:
        return value
    if isinstance(value, list):
        return [_below(item, sub) for item in value]
    if not isinstance(value, dict):
        return None
    return next((v for k, v in value.items() if k.lower() == sub.lower()), None)


def _in(node: FilterNode, attribute: Attribute, item: Any) -> bool:
    if isinstance(node, LogicalExpr):
        found = [_in(term, attribute, item) for term in node.terms]
        return all(found) if node.op == "and" else any(found)
    if isinstance(node, Not):
        return not _in(node.expr, attribute, item)
    assert isinstance(node, Comparison | Present)
    value = _below(item, node.attr_path.attr) if isinstance(item, dict) else item
    if isinstance(node, Present):
        return is_full(value)
    leaf = attribute.subs.get(node.attr_path.attr.lower(), attribute)
    return _holds(node, leaf, value)


def is_full(value: Any) -> bool:
    """Whether anything is there that is not empty."""
    if isinstance(value, dict):
        return any(is_full(v) for v in value.values())
    if isinstance(value, list):
        return any(is_full(v) for v in value)
    return value is not None and value != ""


def _holds(node: Comparison, leaf: Attribute, value: Any) -> bool:
    """`ne` is not `eq`; null is not there; of several values one is enough."""
    if node.value is None:
        return is_full(value) is (node.op.value == "ne")
    if node.op.value == "ne":
        return not _any(value, "eq", node.value, leaf)
    return _any(value, node.op.value, node.value, leaf)


def _any(value: Any, op: str, wanted: Any, leaf: Attribute) -> bool:
    if isinstance(value, list):
        return any(_any(item, op, wanted, leaf) for item in value)
    if leaf.type == "boolean":
        return isinstance(value, bool) and value is (str(wanted).lower() == "true")
    if leaf.type == "dateTime":
        value, wanted = datetime.fromisoformat(value), datetime.fromisoformat(wanted)
    elif not isinstance(value, str):
        return False
    elif not leaf.is_case_exact:
        value, wanted = value.lower(), wanted.lower()
    return bool(_TESTS[op](value, wanted))


_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "co": operator.contains,
    "sw": lambda value, wanted: value.startswith(wanted),
    "ew": lambda value, wanted: value.endswith(wanted),
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
