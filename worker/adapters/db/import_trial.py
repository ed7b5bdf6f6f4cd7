"""What a dry run of an import has added so far, in a file of its own that nobody else sees.

A million lines need no memory for it, and no transaction of the directory stays open for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from domain.importing import Additions
from domain.keys import address_id
from domain.model import Person, PersonState, Role
from domain.own_groups import OwnGroup, name_key


class ImportTrial:
    """Additions by what later lines look for: addresses, names of groups, memberships."""

    def __init__(self) -> None:
        # An empty name: a file in the temporary folder that is gone with its connection.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("CREATE TABLE added (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def keep(self, additions: Iterable[Additions]) -> None:
        """What a batch would have added."""
        new: dict[str, bytes] = {}
        for one in additions:
            if one.person is not None:
                new[_address_key(one.person.account, one.person.email)] = _person_text(one.person)
            if one.group is not None:
                new[_name_key(one.group.name)] = orjson.dumps([one.group.id, one.group.name])
            if one.member is not None:
                new[_member_key(*(half.id for half in one.member))] = b""
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR REPLACE INTO added VALUES (?, ?)", new.items())
        self._file.execute("COMMIT")

    def holder(self, account: str, email: str) -> Person | None:
        """The person who would have the address."""
        found = self._find(_address_key(account, email))
        return _person(account, orjson.loads(found)) if found is not None else None

    def group(self, account: str, name: str) -> OwnGroup | None:
        """The group that would have the name."""
        found = self._find(_name_key(name))
        if found is None:
            return None
        id_, told = orjson.loads(found)
        return OwnGroup(id_, account, told)

    def is_member(self, group: str, person: str) -> bool:
        """Whether the person would have been put into the group."""
        return self._find(_member_key(group, person)) is not None

    def _find(self, key: str) -> bytes | None:
        row = self._file.execute("SELECT value FROM added WHERE key = ?", (key,)).fetchone()
        return row[0] if row is not None else None

    def close(self) -> None:
        """Forget it all."""
        self._file.close()


def _address_key(account: str, email: str) -> str:
    return f"a:{address_id(account, email)}"


def _name_key(name: str) -> str:
    return f"g:{name_key(name)}"


def _member_key(group: str, person: str) -> str:
    return f"m:{group}:{person}"


def _person_text(person: Person) -> bytes:
    return orjson.dumps(
        {
            "id": person.id,
            "email": person.email,
            "state": person.state.value,
            "role": person.role.value,
            "profile": dict(person.profile),
        }
    )


def _person(account: str, told: Mapping[str, Any]) -> Person:
    return Person(
        id=told["id"],
        account=account,
        email=told["email"],
        requested=told["email"],
        state=PersonState(told["state"]),
        role=Role(told["role"]),
        profile=told["profile"],
    )
