"""Values as they are kept: of the attribute's type, under the attribute's proper names.

Lenient reading takes what identity providers send: "True" for a boolean, a number for a text, a
bare id for a complex value, one value where a list belongs, names that we do not know. Strict
reading takes what RFC 7643 says. An unassigned value (null, an empty list, in lenient reading
an empty text) is None.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from domain.values import is_mailable
from worker.adapters.scim.attributes import Attribute
from worker.adapters.scim.errors import SCIMError, invalid_syntax, invalid_value

#: Values of one multi-valued attribute.
MAX_VALUES = 1_000
_BOOLEANS = {"true": True, "false": False}
_URL_SAFE = str.maketrans("-_", "+/")
_LONGEST_NAME = 60


def said(name: object) -> str:
    """A name out of a request, as an error may repeat it."""
    text = str(name)
    printable = text if text.isprintable() else ascii(text)
    return printable[:_LONGEST_NAME]


def taken(attribute: Attribute, value: Any, place: str, *, strict: bool) -> Any:
    """The value of a whole attribute as it is kept, None if it is unassigned; raises SCIMError."""
    if value is None:
        return None
    if attribute.is_multi:
        return _all(attribute, value, place, strict=strict)
    if isinstance(value, list) and not strict and len(value) == 1:
        value = value[0]
    return one_value(attribute, value, place, strict=strict)


def _all(attribute: Attribute, value: Any, place: str, *, strict: bool) -> list[Any] | None:
    if not isinstance(value, list):
        if strict:
            raise invalid_value(f"{place}: a list is needed")
        value = [value]
    values = entries(attribute, value, place, strict=strict)
    check_primary(values, place)
    return values or None


def entries(attribute: Attribute, values: list[Any], place: str, *, strict: bool) -> list[Any]:
    """The values of a multi-valued attribute one by one, without unassigned and equal ones."""
    if len(values) > MAX_VALUES:
        raise invalid_value(f"{place}: more than {MAX_VALUES} values")
    kept: list[Any] = []
    for index, value in enumerate(values):
        found = one_value(attribute, value, f"{place}[{index}]", strict=strict)
        if found is not None and found not in kept:
            kept.append(found)
    return kept


def check_primary(values: list[Any], place: str) -> None:
    """Raise SCIMError where more than one value is the primary one (RFC 7643, 2.4)."""
    if sum(isinstance(one, dict) and one.get("primary") is True for one in values) > 1:
        raise invalid_value(f"{place}: more than one value is primary")


def one_value(attribute: Attribute, value: Any, place: str, *, strict: bool) -> Any:
    """One value of the attribute as it is kept, None if it is unassigned; raises SCIMError."""
    if value is None:
        return None
    if attribute.type == "complex":
        return _complex(attribute, value, place, strict=strict)
    if isinstance(value, dict) and not strict and "value" in value:
        # Entra wraps single values: [{"$ref": null, "value": "False"}].
        value = value["value"]
    if attribute.type == "boolean":
        return _boolean(value, place, strict=strict)
    return _text(attribute, value, place, strict=strict)


def _boolean(value: Any, place: str, *, strict: bool) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not strict:
        found = _BOOLEANS.get(value.strip().lower())
        if found is not None:
            return found
        if not value:
            return None
    raise invalid_value(f"{place}: true or false is needed")


def _text(attribute: Attribute, value: Any, place: str, *, strict: bool) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and not strict:
        value = str(value)
    if not isinstance(value, str):
        raise invalid_value(f"{place}: a text is needed")
    if len(value) > attribute.longest:
        raise invalid_value(f"{place}: more than {attribute.longest} characters")
    if "\0" in value:
        raise invalid_value(f"{place}: NUL in a text")
    if attribute.type == "binary":
        _check_base64(value, place)
    # A value without an @ is none, and is kept as it was told (RFC 7643, 4.1.2 has SHOULD).
    if attribute.is_address and (strict or "@" in value) and value and not is_mailable(value):
        raise invalid_value(f"{place}: not an address that mail can be sent to")
    return value if value or strict else None


def _check_base64(value: str, place: str) -> None:
    """RFC 7643, 2.3.6 allows both alphabets of RFC 4648."""
    text = "".join(value.split()).translate(_URL_SAFE).rstrip("=")
    try:
        base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_value(f"{place}: not base64") from None


def _complex(
    attribute: Attribute, value: Any, place: str, *, strict: bool
) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        bare = attribute.subs.get("value")
        if bare is None or strict or isinstance(value, list):
            raise invalid_value(f"{place}: an object is needed")
        value = {bare.name: value}
    return sub_values(attribute, value, place, strict=strict) or None


def sub_values(
    attribute: Attribute, value: Mapping[str, Any], place: str, *, strict: bool
) -> dict[str, Any]:
    """The sub-attributes that the object gives, unassigned ones left out."""
    found: dict[str, Any] = {}
    for sub, given in known_members(attribute.subs, value, place, strict=strict):
        if sub.is_read_only:
            continue
        read = one_value(sub, given, f"{place}.{sub.name}", strict=strict)
        if read is not None:
            found[sub.name] = read
    return found


def known_members(
    table: Mapping[str, Attribute], value: Mapping[str, Any], place: str, *, strict: bool
) -> list[tuple[Attribute, Any]]:
    """The members of an object that the table knows, with their attributes.

    Raises SCIMError where two members are the same attribute, and in strict reading where one
    is not known.
    """
    found: dict[str, tuple[Attribute, Any]] = {}
    for name, given in value.items():
        attribute = table.get(name) or table.get(name.lower())
        if attribute is None:
            if strict:
                raise unknown(name, place)
            continue
        if attribute.name in found:
            raise invalid_syntax(f"{attribute.name} is given twice{at(place)}")
        found[attribute.name] = attribute, given
    return list(found.values())


def unknown(name: str, place: str) -> SCIMError:
    """The refusal of a member that no schema has."""
    return invalid_syntax(f"no attribute {said(name)!r}{at(place)}")


def at(place: str) -> str:
    """The place as the end of a sentence."""
    return f" in {place}" if place else ""
