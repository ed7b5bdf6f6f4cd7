"""What the answer to a write shows beside the resource: a user's groups, a group's members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from domain.resources import Resource, ResourceKind
from worker.adapters.db.direct import Asked, Row
from worker.adapters.db.scim_reading import (
    ask_groups,
    ask_members,
    current_groups,
    groups_of_users,
    members_from_rows,
    members_page,
)


class Related:
    """Questions about resources of one connection, and what they come to: parts of `Known`."""

    def __init__(self, connection: str, resources: Sequence[Resource]) -> None:
        self._connection = connection
        self._users = [one for one in resources if one.kind is ResourceKind.USER]
        self._groups = [one for one in resources if one.kind is ResourceKind.GROUP]

    @property
    def asked(self) -> list[Asked]:
        """The questions."""
        keys = {one.key for one in self._users}
        of_users = [ask_groups(self._connection, keys)] if keys else []
        return [*of_users, *(asked for one in self._groups for asked in ask_members(one))]

    def from_rows(self, sql: Connection, found: Sequence[Sequence[Row]]) -> dict[str, Any]:
        """What they gave, by SCIM id."""
        of_groups = found[1:] if self._users else found
        theirs = current_groups(found[0]) if self._users else {}
        told: dict[str, Any] = {
            one.id: {"groups": tuple(theirs.get(one.key, ()))} for one in self._users
        }
        for place, one in enumerate(self._groups):
            rows = of_groups[2 * place : 2 * place + 2]
            told[one.id] = {"members": members_from_rows(sql, one, *rows)}
        return told

    def ask(self, sql: Connection) -> dict[str, Any]:
        """The same, asked one by one."""
        keys = {one.key for one in self._users}
        theirs = groups_of_users(sql, self._connection, keys) if keys else {}
        told: dict[str, Any] = {
            one.id: {"groups": tuple(theirs.get(one.key, ()))} for one in self._users
        }
        return told | {one.id: {"members": members_page(sql, one)} for one in self._groups}
