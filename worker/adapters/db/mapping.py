"""Between rows and the frozen values of the domain: compact JSON bytes for what SQL never asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import RowMapping

from domain.keys import edge_id, group_id, user_id
from domain.model import (
    Edge,
    Group,
    Mark,
    Override,
    Person,
    PersonState,
    Pinned,
    Role,
    User,
    UserFacts,
    Word,
)
from domain.values import BEGINNING, Stamp

Row = dict[str, Any]
EMPTY_FACTS = b"{}"


def _dumps(value: object) -> bytes:
    """Compact JSON; orjson hands named tuples back to be turned into plain ones."""
    return orjson.dumps(value, default=tuple)


def stamp_to_bytes(stamp: Stamp) -> bytes:
    """A stamp as JSON."""
    return _dumps(stamp)


def stamp_from_bytes(raw: bytes) -> Stamp:
    """The stamp of `stamp_to_bytes`."""
    return Stamp(*orjson.loads(raw))


def _words(rows: Iterable[list[Any]]) -> tuple[Word, ...]:
    return tuple(Word(Stamp(*stamp), by, value) for stamp, by, value in rows)


def facts_to_bytes(facts: UserFacts, promised: Mark | None = None) -> bytes:
    """Facts as JSON, empty parts left out.

    promised: kept here, where the release before, at work beside us, reads past it.
    """
    document = {
        "d": facts.is_described,
        "p": facts.profile,
        "e": facts.emails,
        "a": facts.actives,
        "s": facts.scopes,
        "f": facts.floor if facts.floor > BEGINNING else None,
        "y": promised,
    }
    return _dumps({key: value for key, value in document.items() if value})


def facts_from_bytes(raw: bytes) -> UserFacts:
    """The facts of `facts_to_bytes`."""
    return _facts(orjson.loads(raw)) if raw != EMPTY_FACTS else UserFacts()


def _facts(document: dict[str, Any]) -> UserFacts:
    return UserFacts(
        is_described=document.get("d", False),
        profile={n: (Stamp(*s), v) for n, (s, v) in document.get("p", {}).items()},
        emails=_words(document.get("e", ())),
        actives=_words(document.get("a", ())),
        scopes=_words(document.get("s", ())),
        floor=Stamp(*document["f"]) if "f" in document else BEGINNING,
    )


def _pinned_to_bytes(pinned: Pinned | None) -> bytes | None:
    if pinned is None:
        return None
    return _dumps([pinned.person, pinned.key, pinned.marks])


def _pinned_from_bytes(raw: bytes | None, promised: Mark | None) -> Pinned | None:
    if raw is None:
        return None
    person, key, marks = orjson.loads(raw)
    return Pinned(person, Stamp(*key), tuple(_mark(one) for one in marks), promised)


def _mark(raw: list[Any]) -> Mark:
    stamp, address = raw
    return Mark(Stamp(*stamp), address)


def user_to_row(user: User, account: str) -> Row:
    """A subject as a row of `users`."""
    return {
        "id": user_id(user.connection, user.key),
        "account_id": account,
        "connection_id": user.connection,
        "key": user.key,
        "facts": facts_to_bytes(user.facts, user.pinned.promised if user.pinned else None),
        "person_id": user.person,
        "pinned": _pinned_to_bytes(user.pinned),
    }


def user_from_row(row: RowMapping | Mapping[str, Any]) -> User:
    """The subject of a row of `users`."""
    document = orjson.loads(row["facts"]) if row["facts"] != EMPTY_FACTS else {}
    promised = _mark(document["y"]) if "y" in document else None
    return User(
        connection=row["connection_id"],
        key=row["key"],
        facts=_facts(document) if document else UserFacts(),
        person=row["person_id"],
        pinned=_pinned_from_bytes(row["pinned"], promised),
    )


def person_to_row(person: Person) -> Row:
    """A person as a row of `people`."""
    return {
        "id": person.id,
        "account_id": person.account,
        "email": person.email,
        "requested": person.requested,
        "pending": person.pending,
        "state": person.state.value,
        "connection_id": person.connection,
        "user_key": person.user,
        "governed_by": person.governed_by,
        "claim": stamp_to_bytes(person.claim),
        "is_accepted": person.is_accepted,
        "has_address": person.has_address,
        "profile": orjson.dumps(person.profile),
        "role": person.role.value,
        "is_break_glass": person.is_break_glass,
        "told": None if person.told is None else person.told.value,
    }


def person_from_row(row: RowMapping | Mapping[str, Any]) -> Person:
    """The person of a row of `people`. What the override wants is what the state shows (U9)."""
    state, told = PersonState(row["state"]), row["told"]
    return Person(
        id=row["id"],
        account=row["account_id"],
        email=row["email"],
        requested=row["requested"],
        pending=row["pending"],
        state=state,
        connection=row["connection_id"],
        user=row["user_key"],
        governed_by=row["governed_by"],
        claim=stamp_from_bytes(row["claim"]),
        is_accepted=row["is_accepted"],
        has_address=row["has_address"],
        profile=orjson.loads(row["profile"]),
        role=Role(row["role"]),
        is_break_glass=row["is_break_glass"],
        override=None if told is None else _override_of(state),
        told=None if told is None else PersonState(told),
    )


def _override_of(state: PersonState) -> Override:
    is_out = state in (PersonState.SUSPENDED, PersonState.INVITED_SUSPENDED)
    return Override.SUSPENDED if is_out else Override.ACTIVE


def group_to_row(group: Group, account: str) -> Row:
    """A group as a row of `groups`."""
    return {
        "id": group_id(group.connection, group.key),
        "account_id": account,
        "connection_id": group.connection,
        "key": group.key,
        "name": group.name[1],
        "is_seen": group.is_seen,
        "facts": _dumps([group.name, group.exists, group.floor, group.cleared, group.is_kept]),
        "own_id": group.own,
        "barred": group.barred,
    }


def group_from_row(row: RowMapping | Mapping[str, Any]) -> Group:
    """The group of a row of `groups`."""
    name, exists, floor, cleared, is_kept = orjson.loads(row["facts"])
    return Group(
        connection=row["connection_id"],
        key=row["key"],
        name=(Stamp(*name[0]), name[1]),
        exists=(Stamp(*exists[0]), exists[1]),
        floor=Stamp(*floor),
        cleared=Stamp(*cleared),
        is_kept=is_kept,
        own=row["own_id"],
        barred=row["barred"],
    )


def edge_to_row(edge: Edge) -> Row:
    """A membership as a row of `memberships`."""
    return {
        "id": edge_id(edge.connection, edge.group, edge.user),
        "connection_id": edge.connection,
        "group_key": edge.group,
        "user_key": edge.user,
        "stamp": stamp_to_bytes(edge.stamp),
        "is_member": edge.is_member,
    }


def edge_from_row(row: RowMapping | Mapping[str, Any]) -> Edge:
    """The membership of a row of `memberships`."""
    return Edge(
        connection=row["connection_id"],
        group=row["group_key"],
        user=row["user_key"],
        stamp=stamp_from_bytes(row["stamp"]),
        is_member=row["is_member"],
    )
