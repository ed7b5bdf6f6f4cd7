"""PATCH over plain objects (RFC 7644, 3.5.2): all operations or none, and none is passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from worker.adapters.scim import values
from worker.adapters.scim.attributes import Attribute, Kind, table
from worker.adapters.scim.errors import (
    SCIMError,
    invalid_path,
    invalid_value,
    mutability,
    no_target,
)
from worker.adapters.scim.members import Membership, member_ids
from worker.adapters.scim.paths import MAX_COSTLY, Target, cost, target
from worker.adapters.scim.prepass import Operation, operations
from worker.adapters.scim.values import said

Document = dict[str, Any]

#: Of a value without a path, what identity providers send along and the service answers itself.
_SENT_ALONG = frozenset({"id", "meta"})


@dataclass(frozen=True, slots=True)
class Patched:
    """The document after a PATCH, and what it made of a group's members, as ids in SCIM.

    members_replaced: the whole list, where the PATCH gave one; the other two are empty then.
    """

    document: Document
    members_added: tuple[str, ...] = ()
    members_removed: tuple[str, ...] = ()
    members_replaced: tuple[str, ...] | None = None


def patched(kind: Kind, document: Document, body: Any, *, strict: bool = False) -> Patched:
    """What the PATCH makes of the document, which stays as it is; raises SCIMError with the place.

    Lenient reading takes the dialects of identity providers (`prepass`, `values`) and makes the
    value that a filter describes where there is none: Entra sets `emails[type eq "work"].value`
    without having made one.
    """
    patch = _Patch(kind, orjson.loads(orjson.dumps(document)), strict)
    for operation in operations(body, strict=strict):
        patch.apply(operation)
    members = patch.members
    replaced = None if members.replaced is None else tuple(members.replaced)
    return Patched(patch.document, tuple(members.added), tuple(members.removed), replaced)


class _Patch:
    def __init__(self, kind: Kind, document: Document, strict: bool) -> None:  # noqa: FBT001
        self._kind: Kind = kind
        self._strict = strict
        self.document = document
        self.members = Membership()
        self._costly = 0

    def apply(self, operation: Operation) -> None:
        """One operation; raises SCIMError that names it."""
        try:
            if operation.path is None:
                self._without_path(operation)
            else:
                self._to(self._target(operation.path), operation, operation.path)
        except SCIMError as error:
            if error.detail.startswith(operation.place):
                raise
            raise SCIMError(
                error.status, error.scim_type, f"{operation.place}: {error.detail}"
            ) from None

    def _target(self, path: str) -> Target:
        self._costly += cost(path)
        if self._costly > MAX_COSTLY:
            raise invalid_path(f"paths with long filters have more than {MAX_COSTLY} characters")
        return target(self._kind, path, strict=self._strict)

    def _without_path(self, operation: Operation) -> None:
        """The members of the value are paths themselves: `name.givenName`, `urn:..:department`."""
        if not isinstance(operation.value, dict):
            raise invalid_value("without a path, the value must be an object")
        count = sum(self._member(operation, *one) for one in operation.value.items())
        if not count:
            raise invalid_value("the value holds nothing that can be written")

    def _member(self, operation: Operation, name: str, value: Any) -> bool:
        """Write one member of a value without a path; whether it was anything to write."""
        if name.lower() in _SENT_ALONG and not self._strict:
            return False
        found = self._target(name)
        if found.attribute is not None and found.attribute.is_read_only and not self._strict:
            return False
        part = Operation(operation.op, name, value, has_value=True, place=operation.place)
        self._to(found, part, name)
        return True

    def _to(self, found: Target, operation: Operation, place: str) -> None:
        if found.attribute is None:
            self._whole_part(found, operation)
        elif found.attribute.name == "members":
            self._to_members(found, operation)
        elif found.attribute.name == "schemas":
            self._to_schemas(operation)
        else:
            _check_writable(found)
            self._to_attribute(found, found.attribute, operation, said(place))

    def _whole_part(self, found: Target, operation: Operation) -> None:
        """An extension as a whole, or the core schema named by its URN."""
        if operation.op == "remove" or operation.value is None:
            if found.part is None:
                raise mutability("the resource itself cannot be removed by PATCH")
            _check_part(found.part, self._kind)
            self.document.pop(found.part, None)
            return
        if not isinstance(operation.value, dict):
            raise invalid_value("the value of a schema must be an object")
        for name, value in operation.value.items():
            if name.lower() != "schemas":
                path = name if found.part is None or ":" in name else f"{found.part}:{name}"
                self._member(operation, path, value)

    def _to_schemas(self, operation: Operation) -> None:
        """What schemas a resource has follows from its attributes: only a repetition is taken."""
        given = operation.value if isinstance(operation.value, list) else [operation.value]
        known = table(self._kind)
        if operation.op == "remove" or not all(
            isinstance(one, str) and known.schema(one) is not None for one in given
        ):
            raise mutability("schemas follows from the attributes that a resource has")

    def _to_members(self, found: Target, operation: Operation) -> None:
        if found.selection is None and found.sub is None:
            self._all_members(operation)
        elif found.selection is None or found.sub is not None or operation.op != "remove":
            raise mutability("a member is added or removed as a whole, by its value")
        elif found.selection.keys is None:
            raise no_target("members are selected by value eq only")
        else:
            self.members.remove(found.selection.keys)

    def _all_members(self, operation: Operation) -> None:
        listed = operation.has_value and operation.value is not None
        if operation.op == "remove" and not listed:
            self.members.replace(())
            return
        if operation.op == "remove" and self._strict:
            raise invalid_value("a remove takes no value: select by members[value eq ..]")
        if operation.value is None:
            raise invalid_value("members: an empty list is needed to remove them all")
        ids = member_ids(operation.value, "members", strict=self._strict and operation.op != "add")
        if operation.op == "remove" and not ids:
            # Read as "remove members", it would empty the group.
            raise invalid_value("members: the list of whom to remove is empty")
        change = {
            "add": self.members.add,
            "remove": self.members.remove,
            "replace": self.members.replace,
        }[operation.op]
        change(ids)

    def _to_attribute(
        self, found: Target, attribute: Attribute, operation: Operation, place: str
    ) -> None:
        holder = self.document
        if found.part is not None:
            holder = self.document.setdefault(found.part, {})
        if attribute.is_multi:
            after = _Values(found, attribute, place, self._strict).after(
                holder.get(attribute.name, []), operation
            )
        else:
            after = self._single(found, attribute, holder.get(attribute.name), operation, place)
        if after in (None, [], {}):
            if attribute.is_required:
                raise _refused_required(attribute, operation)
            holder.pop(attribute.name, None)
        else:
            holder[attribute.name] = after
        if found.part is not None and not holder:
            del self.document[found.part]

    def _single(
        self, found: Target, attribute: Attribute, before: Any, operation: Operation, place: str
    ) -> Any:
        if operation.op == "remove":
            if found.sub is None or before is None:
                return None
            return {name: one for name, one in before.items() if name != found.sub.name}
        if found.sub is not None:
            return _merged(
                attribute, before, {found.sub.name: operation.value}, place, self._strict
            )
        if attribute.is_complex and isinstance(operation.value, dict):
            return _merged(attribute, before, operation.value, place, self._strict)
        return values.taken(attribute, operation.value, place, strict=self._strict)


def _refused_required(attribute: Attribute, operation: Operation) -> SCIMError:
    said_why = f"{attribute.name} is required"
    return mutability(said_why) if operation.op == "remove" else invalid_value(said_why)


def _check_part(part: str, kind: Kind) -> None:
    found = table(kind).schema(part)
    assert found is not None
    if all(one.is_read_only for one in found[1].values()):
        raise mutability(f"{part} is read-only")


def _check_writable(found: Target) -> None:
    attribute = found.sub or found.attribute
    assert attribute is not None
    if attribute.is_read_only or (found.attribute is not None and found.attribute.is_read_only):
        raise mutability(f"{attribute.name} is read-only")


def _merged(
    attribute: Attribute,
    before: Mapping[str, Any] | None,
    given: Mapping[str, Any],
    place: str,
    strict: bool,  # noqa: FBT001
) -> Document:
    """The complex value with the given sub-attributes; others stay, null takes one away.

    A reference to something else (a manager) does not keep what was said of the one before.
    """
    after = dict(before or {})
    told = {
        sub.name: values.one_value(sub, value, f"{place}.{sub.name}", strict=strict)
        for sub, value in values.known_members(attribute.subs, given, place, strict=strict)
        if not sub.is_read_only
    }
    if "$ref" in attribute.subs and told.get("value", after.get("value")) != after.get("value"):
        after.clear()
    after.update(told)
    return {name: value for name, value in after.items() if value is not None}


class _Values:
    """What an operation makes of the values of one multi-valued attribute."""

    def __init__(self, found: Target, attribute: Attribute, place: str, strict: bool) -> None:  # noqa: FBT001
        self._found = found
        self._attribute = attribute
        self._place = place
        self._strict = strict

    def after(self, before: list[Any], operation: Operation) -> list[Any]:
        """The values after the operation; those before may be changed."""
        found = self._found
        if operation.op == "remove":
            return self._removed(before, operation)
        if found.selection is None and found.sub is None:
            return self._listed(before, operation)
        chosen = [one for one in before if found.selection is None or found.selection.test(one)]
        if not chosen:
            return self._made(before, operation)
        changed = [self._changed(one, operation) for one in chosen]
        was = {id(one): new for one, new in zip(chosen, changed, strict=True)}
        after = [was.get(id(one), one) for one in before]
        marked = [new for new in changed if _is_primary(new)]
        return self._settled(after, marked)

    def _listed(self, before: list[Any], operation: Operation) -> list[Any]:
        """The attribute as a whole."""
        if operation.op == "replace":
            return (
                values.taken(self._attribute, operation.value, self._place, strict=self._strict)
                or []
            )
        given = operation.value if isinstance(operation.value, list) else [operation.value]
        new = values.entries(self._attribute, given, self._place, strict=self._strict)
        fresh = [one for one in new if not any(_holds(old, one) for old in before)]
        return self._settled([*before, *fresh], [one for one in fresh if _is_primary(one)])

    def _made(self, before: list[Any], operation: Operation) -> list[Any]:
        """The filter matches nothing: in lenient reading the value that it describes is made.

        Not by a replacement of a type that nobody knows: it goes wrong (RFC 7644, 3.5.2.3).
        """
        selection = self._found.selection
        if operation.value is None:
            return before
        if selection is None:
            described: Mapping[str, Any] = {}
        elif self._strict or selection.described is None or self._is_astray(operation):
            raise no_target(f"{self._place}: no value matches the filter")
        else:
            described = selection.described
        made = self._changed(dict(described), operation)
        if selection is not None and not selection.test(made):
            raise invalid_value(f"{self._place}: the value contradicts the filter")
        return self._settled([*before, made], [made] if _is_primary(made) else [])

    def _is_astray(self, operation: Operation) -> bool:
        selection, kinds = self._found.selection, self._attribute.subs.get("type")
        if operation.op != "replace" or kinds is None or selection is None:
            return False
        kind = str((selection.described or {}).get("type", "")).lower()
        return bool(kind and kinds.canonical) and kind not in kinds.canonical

    def _changed(self, entry: Document, operation: Operation) -> Document:
        sub, value = self._found.sub, operation.value
        if sub is not None:
            return _merged(self._attribute, entry, {sub.name: value}, self._place, self._strict)
        if isinstance(value, list) and len(value) == 1 and not self._strict:
            value = value[0]
        if value is None:
            return {}
        if isinstance(value, dict) and not (self._strict and operation.op == "replace"):
            return _merged(self._attribute, entry, value, self._place, self._strict)
        read = values.one_value(self._attribute, value, self._place, strict=self._strict)
        return dict(read or {})

    def _removed(self, before: list[Any], operation: Operation) -> list[Any]:
        found = self._found
        if found.selection is None and operation.value is not None:
            if found.sub is None:
                return self._without_given(before, operation.value)
            if self._strict:
                raise invalid_value("a remove takes no value: select by a filter in the path")
        chosen = {id(one) for one in before if found.selection is None or found.selection.test(one)}
        if found.sub is None:
            return [one for one in before if id(one) not in chosen]
        name = found.sub.name
        for one in before:
            if id(one) in chosen:
                one.pop(name, None)
        return [one for one in before if one]

    def _without_given(self, before: list[Any], given: Any) -> list[Any]:
        """Entra removes by a list of values, not by a filter; never is that everything."""
        if self._strict:
            raise invalid_value("a remove takes no value: select by a filter in the path")
        listed = given if isinstance(given, list) else [given]
        gone = values.entries(self._attribute, listed, self._place, strict=False)
        if not gone:
            raise invalid_value(f"{self._place}: the list of what to remove is empty")
        return [old for old in before if not any(_holds(old, one) for one in gone)]

    def _settled(self, after: list[Any], marked: list[Any]) -> list[Any]:
        """A value that was made the primary one takes that from the others (RFC 7644, 3.5.2)."""
        if len(marked) > 1:
            raise invalid_value(f"{self._place}: more than one value is primary")
        if len(after) > values.MAX_VALUES:
            raise invalid_value(f"{self._place}: more than {values.MAX_VALUES} values")
        if marked:
            for one in after:
                if _is_primary(one) and one is not marked[0]:
                    one["primary"] = False
        return [one for one in after if one]


def _is_primary(value: Any) -> bool:
    return isinstance(value, dict) and value.get("primary") is True


def _holds(old: Any, new: Any) -> bool:
    """Whether a value that is there says all that the new one says."""
    if isinstance(old, dict) and isinstance(new, dict):
        return new.items() <= old.items()
    return bool(old == new)
