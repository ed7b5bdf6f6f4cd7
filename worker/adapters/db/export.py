"""The directory as lines: what two runs over the same facts must agree on (G4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from domain.groups import is_current
from domain.model import PersonState
from worker.adapters.db import rows
from worker.adapters.db.group_queries import hand_memberships
from worker.adapters.db.group_rows import own_groups
from worker.adapters.db.mapping import edge_from_row, group_from_row, person_from_row


class Line(BaseModel):
    """One exported value; keys are written sorted."""

    model_config = ConfigDict(frozen=True)


class UserLine(Line):
    """A person. email: in force; requested_email: what the IdP last asked for."""

    kind: Literal["user"] = "user"
    connection: str | None
    external_id: str | None
    email: str
    requested_email: str
    given_name: str | None
    family_name: str | None
    display_name: str | None
    state: str
    managed: bool


class GroupLine(Line):
    """A group that the IdP described and did not delete; or one by hand, of no connection."""

    kind: Literal["group"] = "group"
    connection: str | None
    external_id: str | None
    name: str | None
    managed: bool = True


class MembershipLine(Line):
    """The IdP's last word is "member"; effective once both ends were seen (G7).

    Of a membership by hand there is no connection: group is a name, user an address.
    """

    kind: Literal["membership"] = "membership"
    connection: str | None
    group: str
    user: str
    effective: bool


def export_lines(connection: Connection, account: str) -> Iterator[Line]:
    """Users, groups, memberships of an account, each sorted."""
    table = rows.connections
    known = connection.execute(
        select(table.c.id, table.c.name, table.c.state).where(table.c.account_id == account)
    ).all()
    names = {row.id: row.name for row in known}
    retired = {row.id for row in known if row.state == "retired"}
    yield from _users(connection, account, names)
    yield from _groups(connection, account, names, retired)
    yield from _groups_by_hand(connection, account)
    yield from _memberships(connection, account, names)
    for group, user in hand_memberships(connection, account):
        yield MembershipLine(connection=None, group=group, user=user, effective=True)


def _users(connection: Connection, account: str, names: dict[str, str]) -> list[UserLine]:
    table = rows.people
    lines = []
    for row in connection.execute(select(table).where(table.c.account_id == account)).mappings():
        person = person_from_row(row)
        if person.state is PersonState.WITHDRAWN:
            continue
        profile = person.profile
        line = UserLine(
            connection=names.get(person.connection or ""),
            external_id=person.user,
            email=person.email,
            requested_email=person.requested,
            given_name=profile.get("given_name"),
            family_name=profile.get("family_name"),
            display_name=profile.get("display_name"),
            state=person.state.value,
            managed=person.is_managed,
        )
        lines.append(line)
    return sorted(lines, key=_user_order)


def _user_order(line: UserLine) -> tuple[str, ...]:
    return (line.connection or "", line.external_id or "", line.email, line.state)


def _groups(
    connection: Connection, account: str, names: dict[str, str], retired: Collection[str]
) -> list[GroupLine]:
    """C7: the groups of a retired connection are there, and nobody's."""
    table = rows.groups
    found = connection.execute(
        select(table).where(table.c.account_id == account, table.c.is_seen)
    ).mappings()
    lines = [
        GroupLine(
            connection=names[row["connection_id"]],
            external_id=row["key"],
            name=row["name"],
            managed=row["connection_id"] not in retired,
        )
        for row in found
    ]
    return sorted(lines, key=lambda line: (line.connection or "", line.external_id or ""))


def _groups_by_hand(connection: Connection, account: str) -> list[GroupLine]:
    """Without the built-in ones, which every account has."""
    table = own_groups
    found = connection.execute(
        select(table.c.name)
        .where(table.c.account_id == account, ~table.c.is_managed, ~table.c.is_built_in)
        .order_by(table.c.name_key)
    )
    return [
        GroupLine(connection=None, external_id=None, name=row.name, managed=False) for row in found
    ]


def _memberships(
    connection: Connection, account: str, names: dict[str, str]
) -> list[MembershipLine]:
    groups = {
        (row["connection_id"], row["key"]): group_from_row(row)
        for row in connection.execute(
            select(rows.groups).where(rows.groups.c.account_id == account)
        ).mappings()
    }
    seen = {
        (row.connection_id, row.key)
        for row in connection.execute(
            select(rows.users.c.connection_id, rows.users.c.key).where(
                rows.users.c.account_id == account, rows.users.c.person_id.is_not(None)
            )
        )
    }
    lines = []
    for name_id, name in names.items():
        table = rows.memberships
        statement = select(table).where(table.c.connection_id == name_id, table.c.is_member)
        for row in connection.execute(statement).mappings():
            edge = edge_from_row(row)
            group = groups[edge.connection, edge.group]
            if group.is_deleted or not is_current(edge, group):
                continue
            lines.append(
                MembershipLine(
                    connection=name,
                    group=edge.group,
                    user=edge.user,
                    effective=group.is_seen and (edge.connection, edge.user) in seen,
                )
            )
    return sorted(lines, key=lambda line: (line.connection or "", line.group, line.user))
