"""The rule that what lets somebody in is compared in constant time.

A comparison that ends at the first difference tells, by how long it took, how much was right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.rules import Source

#: What a value that lets somebody in is called here, alone or as one word of a name.
_NAMED = re.compile(
    r"(^|_)(authorization|bearer|cookie|credential|csrf|digest|hash|hmac|mac|nonce|password|proof|"
    r"secret|session|signature|signed|tag|token)s?($|_)",
    re.IGNORECASE,
)
_COMPARED = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
#: Of these calls the answer is no secret, whatever they are asked about.
_TELLS_NOTHING = frozenset({"bool", "count", "isinstance", "len", "type"})


def hasty_comparisons(source: Source) -> list[str]:
    """Secrets, tokens, digests or signatures under `==`, `!=`, `in`: `hmac.compare_digest` is it.

    In SQL a token may be looked up by its SHA-256: nobody can choose how a digest begins.
    """
    return [
        f"{source.at(node)}: {ast.unparse(node)}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(op, _COMPARED) for op in node.ops)
        and _is_hasty([node.left, *node.comparators])
    ]


def _is_hasty(sides: list[ast.expr]) -> bool:
    columns = [_name(side) for side in sides if _is_column(side)]
    if columns:
        is_digest = any(isinstance(s, ast.Call) and _name(s) == "token_digest" for s in sides)
        return any(map(_NAMED.search, columns)) and len(columns) == 1 and not is_digest
    if any(isinstance(side, ast.Constant) for side in sides):
        return False  # what stands in the source is no secret
    return any(_NAMED.search(name) for side in sides for name in _names(side))


def _is_column(side: ast.expr) -> bool:
    return (
        isinstance(side, ast.Attribute)
        and isinstance(side.value, ast.Attribute)
        and side.value.attr == "c"
    )


def _names(side: ast.expr) -> Iterator[str]:
    """What an expression is called: its own name, and the text by which it was looked up."""
    if isinstance(side, ast.Call) and _name(side) in _TELLS_NOTHING:
        return
    for node in ast.walk(side):
        if isinstance(node, ast.Name | ast.Attribute):
            yield _name(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.replace("-", "_")


def _name(node: ast.expr) -> str:
    match node:
        case ast.Call():
            return _name(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case _:
            return ""
