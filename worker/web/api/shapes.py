"""What answers tell of people and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field
from sqlalchemy import Connection, select

from domain.keys import group_id, group_ref
from domain.model import Person, PersonState, Role
from domain.own_groups import Permission
from domain.policy import OnReturn
from domain.returning import returns_as_new
from worker.adapters.db import rows
from worker.adapters.db.deliverability import marks_of
from worker.adapters.db.group_pages import GroupSeen
from worker.adapters.db.uow import policy_from_row


class User(BaseModel):
    """Somebody in the directory, with their full state (U10)."""

    id: str
    account: str
    email: str = Field(description="The address in force.")
    requested_email: str = Field(description="What the identity provider last asked for.")
    pending_email: str | None = Field(description="Waits for the member's yes (E2).")
    state: PersonState
    managed: bool = Field(description="Whether a connection governs the person now.")
    connection: str | None
    external_id: str | None
    role: Role
    break_glass: bool
    given_name: str | None
    family_name: str | None
    display_name: str | None
    undeliverable: str | None = Field(
        description="What the mail server said when it refused the address (E7)."
    )
    returns_as_new: bool = Field(
        description="Suspended, and another address was asked for since: a return would make a "
        "new person (E5)."
    )


class Group(BaseModel):
    """A group of the directory."""

    id: str
    account: str
    name: str
    built_in: bool = Field(description="One of the five that every account has (G5).")
    managed: bool = Field(description="Whether a connection governs the group now.")
    connection: str | None
    external_id: str | None
    permissions: list[Permission] = Field(description="What its members may do (G3).")


class Member(BaseModel):
    """A membership. user: null while nobody was seen under that external id (G7)."""

    effective: bool
    external_id: str | None
    user: User | None


def users_of(connection: Connection, people: Sequence[Person]) -> list[User]:
    """People as answers show them."""
    on_return = _on_return(connection, {p.connection for p in people if p.connection is not None})
    marks = marks_of(connection, people)
    refused = {person: str(mark["why"]) for person, mark in marks.items()}
    return [_user(person, on_return, refused.get(person.id)) for person in people]


def _user(person: Person, on_return: Mapping[str, OnReturn], refused: str | None) -> User:
    setting = on_return.get(person.connection or "", OnReturn.SAME_USER)
    return User(
        id=person.id,
        account=person.account,
        email=person.email,
        requested_email=person.requested,
        pending_email=person.pending,
        state=person.state,
        managed=person.is_managed,
        connection=person.connection,
        external_id=person.user,
        role=person.role,
        break_glass=person.is_break_glass,
        given_name=person.profile.get("given_name"),
        family_name=person.profile.get("family_name"),
        display_name=person.profile.get("display_name"),
        undeliverable=refused,
        returns_as_new=returns_as_new(person, setting),
    )


def _on_return(connection: Connection, ids: set[str]) -> dict[str, OnReturn]:
    if not ids:
        return {}
    table = rows.connections
    found = connection.execute(select(table).where(table.c.id.in_(sorted(ids)))).mappings()
    return {row["id"]: policy_from_row(row, frozenset()).on_return for row in found}


def group_of(seen: GroupSeen) -> Group:
    """A group as answers show it; its id stays, whatever an operator makes of it."""
    connection = seen.own.connection if seen.own is not None else None
    key = seen.own.key if seen.own is not None else None
    if seen.told is not None:
        connection, key = seen.told.connection, seen.told.key
    is_told = connection is not None and key is not None
    return Group(
        id=group_ref(group_id(connection or "", key or "")) if is_told else seen.id,
        account=seen.account,
        name=seen.name,
        built_in=seen.is_built_in,
        managed=seen.is_managed,
        connection=connection,
        external_id=key,
        permissions=sorted(seen.permissions),
    )
