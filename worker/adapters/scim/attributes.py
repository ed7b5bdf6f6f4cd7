"""What a resource may hold, looked up by name in any case (RFC 7643, 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from worker.adapters.scim import schemas

Kind = Literal["User", "Group"]

#: Characters that a text may have; what is looked up by an index, fewer.
MAX_TEXT = 65_536
MAX_INDEXED = 512
#: The subject key of a person or group is made of it.
MAX_EXTERNAL_ID = 255
_SHORT = frozenset({"userName", "displayName", "value", "type"})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute or sub-attribute as its schema describes it (RFC 7643, 7).

    subs: of a complex one, its sub-attributes by lower-cased name.
    longest: how many characters a text may have. is_address: mail can be sent to its values.
    canonical: the values that it usually has, in lower case.
    """

    name: str
    type: str
    is_multi: bool = False
    is_required: bool = False
    is_case_exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    subs: Mapping[str, Attribute] = field(default_factory=dict)
    longest: int = MAX_TEXT
    is_address: bool = False
    canonical: frozenset[str] = frozenset()

    @property
    def is_read_only(self) -> bool:
        """Whether what a client says of it counts for nothing."""
        return self.mutability == "readOnly"

    @property
    def is_complex(self) -> bool:
        """Whether it has sub-attributes."""
        return self.type == "complex"


@dataclass(frozen=True, slots=True)
class Table:
    """The attributes of one kind of resource.

    core: by lower-cased name, the common ones (RFC 7643, 3.1) with them.
    extensions: by lower-cased URN, its proper spelling and its attributes.
    """

    kind: Kind
    urn: str
    core: Mapping[str, Attribute]
    extensions: Mapping[str, tuple[str, Mapping[str, Attribute]]]

    def schema(self, urn: str) -> tuple[str | None, Mapping[str, Attribute]] | None:
        """The attributes under a URN in any case; the name is None for the core schema."""
        lowered = urn.lower()
        if lowered == self.urn.lower():
            return None, self.core
        return self.extensions.get(lowered)


def _common() -> dict[str, Attribute]:
    fixed = {"is_case_exact": True, "mutability": "readOnly"}
    meta = (
        Attribute("resourceType", "string", **fixed),  # type: ignore[arg-type]
        Attribute("created", "dateTime", mutability="readOnly"),
        Attribute("lastModified", "dateTime", mutability="readOnly"),
        Attribute("location", "reference", **fixed),  # type: ignore[arg-type]
        Attribute("version", "string", **fixed),  # type: ignore[arg-type]
    )
    return {
        "id": Attribute(
            "id", "string", is_case_exact=True, mutability="readOnly", returned="always"
        ),
        "externalid": Attribute(
            "externalId", "string", is_case_exact=True, longest=MAX_EXTERNAL_ID
        ),
        "meta": Attribute(
            "meta", "complex", mutability="readOnly", subs={one.name.lower(): one for one in meta}
        ),
        "schemas": Attribute(
            "schemas", "reference", is_multi=True, is_case_exact=True, returned="always"
        ),
    }


def _attribute(described: Mapping[str, Any]) -> Attribute:
    name, kind = described["name"], described["type"]
    return Attribute(
        name=name,
        type=kind,
        is_multi=described["multiValued"],
        is_required=described["required"],
        is_case_exact=described["caseExact"],
        mutability=described["mutability"],
        returned=described["returned"],
        subs=_by_name(described.get("subAttributes", ())),
        longest=MAX_INDEXED if name in _SHORT and kind == "string" else MAX_TEXT,
        canonical=frozenset(one.lower() for one in described.get("canonicalValues") or ()),
    )


def _user_attributes(described: Any) -> dict[str, Attribute]:
    found = _by_name(described)
    emails = found["emails"]
    value = replace(emails.subs["value"], is_address=True)
    return found | {"emails": replace(emails, subs={**emails.subs, "value": value})}


def _by_name(described: Any) -> dict[str, Attribute]:
    return {one["name"].lower(): _attribute(one) for one in described}


@cache
def table(kind: Kind) -> Table:
    """The attributes of users or groups."""
    documents = schemas.schema_documents()
    urn = schemas.USER if kind == "User" else schemas.GROUP
    read = _user_attributes if kind == "User" else _by_name
    extensions = (schemas.ENTERPRISE, schemas.STATE) if kind == "User" else ()
    return Table(
        kind,
        urn,
        _common() | read(documents[urn]["attributes"]),
        {one.lower(): (one, _by_name(documents[one]["attributes"])) for one in extensions},
    )
