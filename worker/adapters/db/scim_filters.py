"""Filters as conditions on `scim_resources`, for both databases; nothing is ever sifted in Python.

What is asked most is answered by an index: ids, externalId, userName, a group's displayName,
addresses and memberships. All else reads the documents of one connection.

No condition is ever NULL, so that what `not` turns round is right where nothing is told.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)

from domain.model import PersonState
from worker.adapters.db import rows, scim_members
from worker.adapters.db.scim_json import JSON, Condition, Spot
from worker.adapters.db.scim_members import Related
from worker.adapters.db.scim_rows import scim_resources, scim_values
from worker.adapters.scim.attributes import Attribute, table
from worker.adapters.scim.errors import invalid_filter
from worker.adapters.scim.filters import All, Compare, Either, Has, Node, Not, Some, Target
from worker.adapters.scim.schemas import NOTE, STATE

R = scim_resources.c

#: What `scim_values` holds, in lower case; longer texts are in the document only.
INDEXED = {"User": ("emails.value",), "Group": ()}
LONGEST_INDEXED = 512

#: Of the extension for the full state, what a column of people tells.
_OF_PEOPLE = {"state": "state", "emailInForce": "email", "pendingEmail": "pending"}
_IN = (PersonState.ACTIVE.value, PersonState.INVITED.value)


@dataclass(frozen=True)
class Look:
    """Where a filter looks: resources of one kind of one connection.

    base: address of the service, with which the resources' own begin. with_state: whether our own
    extension is shown of every user.
    """

    json: JSON
    connection: str
    kind: str
    base: str
    with_state: bool = False


@dataclass(frozen=True)
class Value:
    """Something single to compare. is_folded: it is in lower case already."""

    expression: ColumnElement[Any]
    is_folded: bool = False


def condition(node: Node, look: Look) -> Condition:
    """The rows of `scim_resources` that a filter describes, among those of its connection."""
    return _whole(node, _Resource(look), look)


def sort_value(target: Target, look: Look) -> ColumnElement[Any]:
    """What rows of `scim_resources` are sorted by; NULL where there is nothing."""
    return _Resource(look).sorted_by(target)


class _Place(Protocol):
    """What a test looks at: a resource, or one value of a multi-valued attribute."""

    def value(self, target: Target) -> Value | None:
        """What is compared; None where there is never anything."""
        ...

    def truth(self, target: Target, *, wanted: bool) -> Condition:
        """Whether a boolean has this value."""
        ...

    def has(self, target: Target) -> Condition:
        """Whether there is something."""
        ...

    def some(self, node: Some) -> Condition:
        """Whether one of several values is so."""
        ...


def _whole(node: Node, place: _Place, look: Look) -> Condition:
    if isinstance(node, Compare):
        return _compared(node, place, look.json)
    if isinstance(node, Has):
        return place.has(node.target)
    if isinstance(node, Some):
        return place.some(node)
    if isinstance(node, Not):
        return not_(_whole(node.term, place, look))
    if isinstance(node, Either) and isinstance(place, _Resource):
        return place.either(node)
    terms = [_whole(term, place, look) for term in node.terms]
    return and_(true(), *terms) if isinstance(node, All) else or_(false(), *terms)


def _compared(node: Compare, place: _Place, json: JSON) -> Condition:
    if isinstance(node.value, bool):
        return place.truth(node.target, wanted=node.value)
    if isinstance(place, _Resource) and (quick := place.quick(node)) is not None:
        return quick
    found = place.value(node.target)
    if found is None:
        return false()
    left: ColumnElement[Any] = found.expression
    if not isinstance(node.value, str):
        return func.coalesce(_ordered(left, node.op, node.value), False)
    right: ColumnElement[Any] = literal(node.value, Text())
    if not node.is_exact and found.is_folded:
        right = literal(node.value.lower(), Text())
    elif not node.is_exact:
        left, right = json.fold(left), json.fold(right)
    return func.coalesce(_texts(left, node.op, right, json), False)


def _texts(left: ColumnElement[Any], op: str, right: ColumnElement[Any], json: JSON) -> Condition:
    if op == "co":
        return json.position(left, right) > 0
    if op == "sw":
        return func.substr(left, 1, func.length(right)) == right
    if op == "ew":
        begin = func.length(left) - func.length(right) + 1
        return and_(begin > 0, func.substr(left, begin) == right)
    return _ordered(json.ordered(left), op, json.ordered(right))


_ORDERS: Mapping[str, Callable[[Any, Any], Condition]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _ordered(left: ColumnElement[Any], op: str, right: Any) -> Condition:
    return _ORDERS[op](left, right)


class _Resource:
    """A row of `scim_resources`."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._document = Spot(R.document)

    def _spot(self, target: Target) -> Spot:
        assert target.attribute is not None
        found = self._at(target.urn, target.attribute)
        return found.below(target.sub.name) if target.sub is not None else found

    def _at(self, urn: str | None, attribute: Attribute) -> Spot:
        return self._document.below(*([urn] if urn is not None else []), attribute.name)

    def either(self, node: Either) -> Condition:
        """Any of the terms; where an index answers each of them, it does so for all."""
        named: dict[str, list[Compare]] = {}
        others: list[Node] = []
        for term in node.terms:
            if isinstance(term, Compare) and self.quick(term) is not None:
                assert term.target.attribute is not None
                named.setdefault(term.target.attribute.name, []).append(term)
            else:
                others.append(term)
        terms = [self._equals(name, *(one.value for one in ones)) for name, ones in named.items()]
        terms += [_whole(term, self, self.look) for term in others]
        if not terms or not all(map(self._is_quick, others)):
            return or_(false(), *terms)
        mine = and_(R.connection_id == self.look.connection, R.kind == self.look.kind)
        asks = [select(R.id).where(mine, term).correlate(None) for term in terms]
        return R.id.in_(union_all(*asks))

    def _is_quick(self, node: Node) -> bool:
        if isinstance(node, All):
            return any(map(self._is_quick, node.terms))
        if isinstance(node, Compare):
            return self.quick(node) is not None
        wanted = _wanted_value(node.inner) if isinstance(node, Some) else None
        if not isinstance(node, Some) or wanted is None:
            return False
        name = node.attribute.name
        return name in ("members", "groups") or self._listed(f"{name}.value", wanted) is not None

    def quick(self, node: Compare) -> ColumnElement[bool] | None:
        """An equality that an index answers."""
        target = node.target
        if node.op != "eq" or target.attribute is None or target.sub or target.urn:
            return None
        name = target.attribute.name
        if name not in ("id", "externalId", _handle(self.look.kind)):
            return None
        return self._equals(name, node.value)

    def _equals(self, name: str, *values: str) -> ColumnElement[bool]:
        """A column that an index has is one of these."""
        if name == "externalId":
            return self._called(values)
        if name == "id":
            return _one_of(R.id, values)
        return _one_of(R.handle, [value.lower() for value in values])

    def _called(self, values: Sequence[str]) -> ColumnElement[bool]:
        """Whose externalId it is: the alias of one, what others were told beside it."""
        r, v = scim_resources.alias("named"), scim_values.c
        mine = and_(r.c.connection_id == self.look.connection, r.c.kind == self.look.kind)
        named = select(r.c.id).where(mine, r.c.alias.is_not(None), _one_of(r.c.alias, values))
        folded = sorted({value.lower() for value in values})
        beside = select(v.resource_id).where(v.path == "externalId", _one_of(v.value, folded))
        found = R.id.in_(union_all(named, beside))
        return and_(found, _one_of(self._external_id(), values))

    def _external_id(self) -> ColumnElement[Any]:
        spot = self._document.below("externalId")
        return func.coalesce(R.alias, self.look.json.text(spot), "")

    def _listed(self, path: str, value: str) -> Condition | None:
        if path not in INDEXED[self.look.kind] or len(value) > LONGEST_INDEXED:
            return None
        v = scim_values.c
        found = select(v.resource_id).where(v.path == path, v.value == value.lower())
        return R.id.in_(found)

    def value(self, target: Target) -> Value | None:
        assert target.attribute is not None
        if _is_state(target):
            return self._state(target.attribute.name)
        name = target.attribute.name if target.urn is None else ""
        if name == "meta":
            assert target.sub is not None
            return Value(self._meta(target.sub.name))
        if name == "id":
            return Value(R.id)
        if name == "externalId":
            return Value(func.nullif(self._external_id(), ""))
        if name == _handle(self.look.kind):
            return Value(R.handle, is_folded=True)
        spot, leaf = self._spot(target), target.leaf
        if leaf is not None and leaf.type in ("integer", "decimal"):
            return Value(self.look.json.number(spot))
        return Value(self.look.json.text(spot))

    def _meta(self, name: str) -> ColumnElement[Any]:
        if name == "created":
            return R.created_at
        if name == "lastModified":
            return R.modified_at
        if name == "version":
            raise invalid_filter("filter: meta.version is shown, but cannot be asked for")
        if name == "location":
            return literal(f"{self.look.base}/{self.look.kind}s/", Text()) + R.id
        return literal(self.look.kind, Text())

    def _state(self, name: str) -> Value:
        """What rosterd knows of the person (U10)."""
        if name not in _OF_PEOPLE:
            raise invalid_filter(f"filter: {name} is shown, but cannot be asked for")
        return Value(_person(lambda people: people.c[_OF_PEOPLE[name]]))

    def sorted_by(self, target: Target) -> ColumnElement[Any]:
        leaf = target.leaf
        assert leaf is not None
        if leaf.type == "boolean":
            yes, no = (self.truth(target, wanted=wanted) for wanted in (True, False))
            return case((yes, 1), (no, 0))
        if target.attribute is not None and target.attribute.is_multi:
            value = Value(self.look.json.first(self._at(target.urn, target.attribute), leaf.name))
        else:
            found = self.value(target)
            assert found is not None
            value = found
        if value.is_folded or leaf.type not in ("string", "reference", "binary"):
            return value.expression
        text = value.expression if leaf.is_case_exact else self.look.json.fold(value.expression)
        return self.look.json.ordered(text)

    def truth(self, target: Target, *, wanted: bool) -> Condition:
        if _is_state(target):
            return self._is_managed(target, wanted=wanted)
        if _is_active(target):
            active = _active(self.look.json, self._document)
            return active if wanted else not_(active)
        spot = self._spot(target)
        return self.look.json.is_true(spot) if wanted else self.look.json.is_false(spot)

    def _is_managed(self, target: Target, *, wanted: bool) -> Condition:
        if target.attribute is None or target.attribute.name != "isManaged":
            raise invalid_filter(f"filter: {target.leaf} is shown, but cannot be asked for")
        manager = _person(lambda people: people.c.connection_id)
        return manager.is_not(None) if wanted else manager.is_(None)

    def has(self, target: Target) -> Condition:
        assert target.attribute is not None
        if _is_state(target):
            return self._state(target.attribute.name).expression.is_not(None)
        name = target.attribute.name if target.urn is None else ""
        if name in ("id", "meta", "schemas") or _is_active(target):
            return true()
        if name in ("externalId", _handle(self.look.kind)):
            found = self.value(target)
            assert found is not None
            return func.coalesce(found.expression, "") != ""
        if name in ("members", "groups"):
            return self._related(name, None)
        return self.look.json.is_there(self._spot(target))

    def some(self, node: Some) -> Condition:
        name = node.attribute.name
        wanted = _wanted_value(node.inner)
        if name in ("members", "groups") and node.urn is None:
            return self._related(name, node.inner, wanted)
        if name == "schemas" and node.urn is None:
            return self._schemas(node.inner)
        values, spot = self.look.json.each(self._at(node.urn, node.attribute))
        inner = _whole(node.inner, _InDocument(self.look, spot), self.look)
        found = exists(select(literal(1)).select_from(values).where(inner))
        quick = self._listed(f"{name}.value", wanted) if wanted is not None else None
        if quick is None:
            return found
        return quick if isinstance(node.inner, Compare) else and_(quick, found)

    def _schemas(self, inner: Node) -> Condition:
        """Shown are the core schema, and those that the document has something of."""
        found = [
            and_(is_there, _whole(inner, _Constant(urn), self.look))
            for urn, is_there in self._schemas_there()
        ]
        return or_(false(), *found)

    def _schemas_there(self) -> list[tuple[str, Condition]]:
        kind = "User" if self.look.kind == "User" else "Group"
        fields = table(kind)
        told = [
            (urn, self._is_there(urn, is_always=urn == STATE and self.look.with_state))
            for urn, _ in fields.extensions.values()
        ]
        return [(fields.urn, true()), *told]

    def _is_there(self, urn: str, *, is_always: bool) -> Condition:
        return true() if is_always else self.look.json.is_there(self._document.below(urn))

    def _related(self, name: str, inner: Node | None, wanted: str | None = None) -> Condition:
        """Members or groups; whom is known by id is found from the other end."""
        look, json = self.look, self.look.json
        is_group = name == "members"
        if wanted is not None:
            keys = scim_members.groups_with if is_group else scim_members.users_in
            quick = R.key.in_(keys(json, wanted, look.connection))
            if isinstance(inner, Compare):
                return quick
        related = (scim_members.members_of if is_group else scim_members.groups_of)(
            json, scim_resources, look.base
        )
        where = related.where
        if inner is not None:
            where = and_(where, _whole(inner, _InRelated(related), look))
        found = exists(select(literal(1)).select_from(related.source).where(where))
        return found if wanted is None else and_(quick, found)


def _one_of(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    return column.in_(values) if len(values) > 1 else and_(column == values[0])


def _handle(kind: str) -> str:
    return "userName" if kind == "User" else "displayName"


def _is_state(target: Target) -> bool:
    """Whether it is what rosterd knows of the person; the note is the document's."""
    return target.urn == STATE and target.attribute is not None and target.attribute.name != NOTE


def _is_active(target: Target) -> bool:
    attribute = target.attribute
    return attribute is not None and target.urn is None and attribute.name == "active"


def _wanted_value(inner: Node) -> str | None:
    """The text that `value` has to equal for the whole to hold, if there is one."""
    if isinstance(inner, All):
        return next((found for t in inner.terms if (found := _wanted_value(t)) is not None), None)
    if not isinstance(inner, Compare) or inner.op != "eq" or not isinstance(inner.value, str):
        return None
    attribute = inner.target.attribute
    return inner.value if attribute is not None and attribute.name == "value" else None


def _person(what: Callable[[Any], ColumnElement[Any]]) -> ColumnElement[Any]:
    """Something of the person who the subject of a row is now; NULL without one."""
    users, people = rows.users.alias("au"), rows.people.alias("ap")
    return (
        select(what(people))
        .select_from(users.join(people, people.c.id == users.c.person_id))
        .where(users.c.id == R.connection_id + ":" + R.key)
        .scalar_subquery()
    )


def _active(json: JSON, document: Spot) -> Condition:
    """In the directory, a person's state counts; without a person, what the feed told (U10)."""
    state = _person(lambda people: people.c.state)
    told = not_(json.is_false(document.below("active")))
    return case((state.is_(None), told), else_=state.in_(_IN))


class _InDocument:
    """One value of a multi-valued attribute in a document."""

    def __init__(self, look: Look, spot: Spot) -> None:
        self._json = look.json
        self._spot = spot

    def _at(self, target: Target) -> Spot:
        return self._spot if target.attribute is None else self._spot.below(target.attribute.name)

    def value(self, target: Target) -> Value | None:
        leaf = target.attribute
        if leaf is not None and leaf.type in ("integer", "decimal"):
            return Value(self._json.number(self._at(target)))
        return Value(self._json.text(self._at(target)))

    def truth(self, target: Target, *, wanted: bool) -> Condition:
        spot = self._at(target)
        return self._json.is_true(spot) if wanted else self._json.is_false(spot)

    def has(self, target: Target) -> Condition:
        return self._json.is_there(self._at(target))

    def some(self, node: Some) -> Condition:
        raise TypeError(f"{node.attribute.name} has no several values inside several")


class _InRelated:
    """One membership."""

    def __init__(self, related: Related) -> None:
        self._values = related.values

    def _of(self, target: Target) -> ColumnElement[Any] | None:
        return self._values.get(target.attribute.name) if target.attribute is not None else None

    def value(self, target: Target) -> Value | None:
        found = self._of(target)
        return None if found is None else Value(found)

    def truth(self, target: Target, *, wanted: bool) -> Condition:
        raise TypeError(f"no membership says {target} or {wanted}")

    def has(self, target: Target) -> Condition:
        found = self._of(target)
        return false() if found is None else func.coalesce(found, "") != ""

    def some(self, node: Some) -> Condition:
        raise TypeError(f"{node.attribute.name} has no several values inside several")


class _Constant:
    """One text that is the same for all rows."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, target: Target) -> Value | None:
        return Value(literal(self._text, Text())) if target.attribute is None else None

    def truth(self, target: Target, *, wanted: bool) -> Condition:
        raise TypeError(f"{self._text} is not {wanted}, nor {target}")

    def has(self, target: Target) -> Condition:
        return true() if target.attribute is None else false()

    def some(self, node: Some) -> Condition:
        raise TypeError(f"{node.attribute.name} has no several values inside several")
