"""What a filter of RFC 7644 section 3.4.2.2 means: six nodes over a type's attributes.

Whoever evaluates one need not know the RFC's small print:

- `ne` is the negation of `eq`: with several values it says that none of them is equal.
- `eq null` is the negation of `pr`: what is null or empty is not there (RFC 7643 section 2.5).
- A comparison with something multi-valued is `Some` of its values; without a sub-attribute it
  speaks of `value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.adapters.scim.attributes import Attribute, Table


@dataclass(frozen=True, slots=True)
class Target:
    """What is compared: an attribute, or a sub-attribute of it.

    Inside `Some` it is a sub-attribute of the value that is looked at, or, with both None, the
    value itself. urn: of the extension whose object in the resource holds the attribute.
    """

    attribute: Attribute | None
    sub: Attribute | None = None
    urn: str | None = None

    @property
    def leaf(self) -> Attribute | None:
        """Whose type and case count."""
        return self.sub or self.attribute


@dataclass(frozen=True, slots=True)
class Compare:
    """op: eq, co, sw, ew, gt, ge, lt or le. value: text, truth, number or an aware moment."""

    target: Target
    op: str
    value: Any
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """`pr`: there is a value, and it is not empty."""

    target: Target


@dataclass(frozen=True, slots=True)
class Some:
    """One of the values of a multi-valued attribute is so. urn: as in `Target`."""

    attribute: Attribute
    inner: Node
    urn: str | None = None


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    term: Node


@dataclass(frozen=True, slots=True)
class All:
    """Every term."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one term; none of none."""

    terms: tuple[Node, ...]


Node = Compare | Has | Some | Not | All | Either
NOTHING = Either(())


def find_attribute(table: Table, urn: str | None, name: str) -> tuple[str | None, Attribute] | None:
    """An attribute, and the URN of its extension; None where there is no such attribute.

    urn, name: as a request spells them (RFC 7644 section 3.10: case does not matter). A name
    without URN that the core has not may be an extension's.
    """
    wanted = name.lower()
    if urn is not None:
        schema = table.schema(urn)
        found = None if schema is None else schema[1].get(wanted)
        return None if schema is None or found is None else (schema[0], found)
    if (own := table.core.get(wanted)) is not None:
        return None, own
    for schema_urn, more in table.extensions.values():
        if wanted in more:
            return schema_urn, more[wanted]
    return None
