"""Reads filters by the grammar of scim2-models and binds them to a type's attributes.

Apart from `filters`, because the library takes half a second to come: whoever needs it imports this
module when the first filter is read, not when the process starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttrPath,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    Present,
    ValuePath,
)
from scim2_models.path import Not as NotNode

from worker.adapters.scim.attributes import Attribute, Table
from worker.adapters.scim.errors import SCIMError, invalid_filter
from worker.adapters.scim.filters import (
    NOTHING,
    All,
    Compare,
    Either,
    Has,
    Node,
    Not,
    Some,
    Target,
    find_attribute,
)

#: Longer filters are refused unread; a longer list of ids is asked for in parts.
LONGEST = 32_768
MOST_TERMS = 256
#: `meta.created gt "2026-01"` is no moment: neither database has to know more than this form.
_MOMENT = "a time such as 2026-01-31T12:00:00Z"

#: A quoted text, or a comparison with a value that is not.
_BARE = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<before>\s(?:eq|ne|co|sw|ew|gt|ge|lt|le)\s+)(?P<value>[^\s"()\[\]\\]+)',
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")

_ORDER = frozenset({"gt", "ge", "lt", "le"})
_PARTS = frozenset({"co", "sw", "ew"})
_TEXTS = frozenset({"string", "reference", "binary"})


def read_filter(
    text: str, table: Table, *, beside: Sequence[Table] = (), strict: bool = False
) -> Node:
    """A filter as a tree over the attributes; raises SCIMError 400 `invalidFilter`.

    Lenient reading takes a value without quotes, as people and a public collection write it.
    beside: of other types that are searched together with this one: an attribute that only they
    have is never there (RFC 7644 section 3.4.2.1).
    """
    if len(text) > LONGEST:
        raise _invalid(f"longer than {LONGEST} characters")
    tree = _tree(text, strict=strict)
    if _count(tree) > MOST_TERMS:
        raise _invalid(f"more than {MOST_TERMS} terms; ask in parts")
    return _Reader(table, beside).read(tree)


def _tree(text: str, *, strict: bool) -> FilterNode:
    try:
        return ScimFilter(text).ast
    except InvalidFilterException as error:
        quoted = text if strict else _BARE.sub(_quoted, text)
        if quoted == text:
            raise _invalid(str(error.detail)) from error
    return _tree(quoted, strict=True)


def _quoted(found: re.Match[str]) -> str:
    before, value = found["before"], found["value"]
    is_json = value is None or value in ("true", "false", "null") or _NUMBER.fullmatch(value)
    return found[0] if is_json else f'{before}"{value}"'


def _count(tree: FilterNode) -> int:
    """Comparisons in a tree, whose depth the grammar bounds."""
    if isinstance(tree, LogicalExpr):
        return sum(_count(term) for term in tree.terms)
    if isinstance(tree, NotNode):
        return _count(tree.expr)
    return _count(tree.val_filter) if isinstance(tree, ValuePath) else 1


def _invalid(why: str) -> SCIMError:
    return invalid_filter(f"filter: {why}")


class _Reader:
    """Binds one tree."""

    def __init__(self, table: Table, beside: Sequence[Table]) -> None:
        self._table = table
        self._beside = beside

    def read(self, node: FilterNode) -> Node:
        if isinstance(node, LogicalExpr):
            return _joined(node, [self.read(term) for term in node.terms])
        if isinstance(node, NotNode):
            return Not(self.read(node.expr))
        if isinstance(node, Comparison | Present | ValuePath):
            return self._of_attribute(node)
        raise _invalid("not understood")

    def _of_attribute(self, node: Comparison | Present | ValuePath) -> Node:
        path = node.attr_path
        known = find_attribute(self._table, path.uri, path.attr)
        if known is None:
            if any(find_attribute(one, path.uri, path.attr) for one in self._beside):
                return NOTHING
            raise _invalid(f"there is no attribute {path}")
        urn, found = known
        if isinstance(node, ValuePath):
            return _some(urn, found, node)
        sub = _sub_of(found, path)
        if found.is_multi and sub is not None:
            return _multi(urn, found, _test(node, Target(sub)))
        if found.is_multi and isinstance(node, Comparison):
            return _multi(urn, found, _test(node, _value_of(found, node)))
        if sub is None and isinstance(node, Comparison) and found.is_complex:
            sub = _value_of(found, node).attribute
        return _test(node, Target(found, sub, urn))


def _joined(node: LogicalExpr, terms: Iterable[Node]) -> Node:
    joined = tuple(terms)
    return All(joined) if node.op is LogicalOperator.and_ else Either(joined)


def _sub_of(found: Attribute, path: AttrPath) -> Attribute | None:
    if path.sub_attr is None:
        return None
    sub = found.subs.get(path.sub_attr.lower())
    if sub is None:
        raise _invalid(f"there is no attribute {path}")
    return sub


def _value_of(found: Attribute, node: Comparison) -> Target:
    """`emails co "x"` speaks of `emails.value`; a list of plain values of the values themselves."""
    if not found.is_complex:
        return Target(None)
    if "value" not in found.subs:
        raise _invalid(f"{node.attr_path} has no value of its own: name a sub-attribute")
    return Target(found.subs["value"])


def _multi(urn: str | None, found: Attribute, test: Node) -> Node:
    """A test of one value, of any value: what was turned round stays turned round."""
    if isinstance(test, Not):
        return Not(Some(found, test.term, urn))
    return Some(found, test, urn)


def _some(urn: str | None, found: Attribute, node: ValuePath) -> Node:
    if not found.is_multi:
        raise _invalid(f"{node.attr_path} has a single value: nothing can be chosen with [ ]")
    return Some(found, _inside(found, node.val_filter), urn)


def _inside(found: Attribute, node: FilterNode) -> Node:
    """What stands between [ and ]: sub-attributes of one value."""
    if isinstance(node, LogicalExpr):
        return _joined(node, [_inside(found, term) for term in node.terms])
    if isinstance(node, NotNode):
        return Not(_inside(found, node.expr))
    if not isinstance(node, Comparison | Present):
        raise _invalid("[ ] cannot stand inside [ ]")
    path = node.attr_path
    if path.uri is None and path.sub_attr is None:
        if not found.is_complex and path.attr.lower() == "value":
            return _test(node, Target(None), found)
        if (sub := found.subs.get(path.attr.lower())) is not None:
            return _test(node, Target(sub))
    raise _invalid(f"{found.name} has no sub-attribute {path}")


def _test(node: Comparison | Present, target: Target, plain: Attribute | None = None) -> Node:
    """A test of a single value; plain: the list of plain values that it stands in."""
    if isinstance(node, Present):
        return Has(target)
    if node.value is None:
        if node.op.value not in ("eq", "ne"):
            raise _invalid(f"{node.op.value} cannot be asked of null")
        return Not(Has(target)) if node.op.value == "eq" else Has(target)
    leaf = target.leaf or plain
    op = "eq" if node.op.value == "ne" else node.op.value
    value = _value(node, leaf, op)
    is_exact = leaf is None or leaf.is_case_exact or leaf.type == "binary"
    test = Compare(target, op, value, is_exact)
    return Not(test) if node.op.value == "ne" else test


def _value(node: Comparison, leaf: Attribute | None, op: str) -> Any:
    """The value in the attribute's type; raises SCIMError where the two do not go together."""
    kind = "string" if leaf is None else leaf.type
    unordered = kind in ("boolean", "binary")
    if (op in _ORDER and unordered) or (op in _PARTS and kind not in ("string", "reference")):
        raise _invalid(f"{op} cannot be asked of {node.attr_path}, which is a {kind}")
    if kind in _TEXTS and isinstance(node.value, str):
        if "\0" in node.value:
            raise _invalid(f"{node.attr_path} holds no such character")
        return node.value
    if kind == "boolean":
        return _truth(node)
    if kind == "dateTime" and isinstance(node.value, str):
        return _moment(node, node.value)
    if kind in ("integer", "decimal") and _is_number(node.value):
        return node.value
    raise _invalid(f"{node.attr_path} is a {kind}; compare it with one")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _truth(node: Comparison) -> bool:
    """Providers write true, "true" and "True"."""
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str) and node.value.lower() in ("true", "false"):
        return node.value.lower() == "true"
    raise _invalid(f"{node.attr_path} is true or false")


def _moment(node: Comparison, text: str) -> datetime:
    """A time; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _invalid(f"{node.attr_path} is compared with {_MOMENT}") from None
