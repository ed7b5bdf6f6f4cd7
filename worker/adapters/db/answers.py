"""Questions to IdPs as a drain sees them: what was answered, and what is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Delete, RowMapping, delete, or_, select

from domain.directories import Found, ReadGroup, ReadMembership, ReadPerson
from domain.hydration import APART, MEMBERSHIPS, Answer, Wanted, What
from domain.inbox import Lane
from worker.adapters.db import bulk
from worker.adapters.db.directory_rows import accesses, reads
from worker.adapters.vault import Vault

#: Possible suspensions first (D10).
RANKS = {Lane.URGENT: 0, Lane.STANDARD: 1, Lane.BULK: 2}
#: A request to an IdP is long over after this.
_OVER = timedelta(minutes=2)
#: One that waits or is asked stays as it is: who is told of again and again is asked for once.
_AGAIN = (
    "ON CONFLICT (id) DO UPDATE SET wanted_at = excluded.wanted_at, "
    "rank = CASE WHEN directory_reads.due_at IS NULL OR excluded.rank < directory_reads.rank "
    "THEN excluded.rank ELSE directory_reads.rank END, "
    "due_at = coalesce(directory_reads.due_at, excluded.due_at)"
)


class SQLAnswers:
    """`Answers` of one drain's transaction."""

    def __init__(self, connection: Connection, now: datetime, vault: Vault) -> None:
        self._connection = connection
        self._now = now
        self._vault = vault
        self._began: dict[str, datetime] = {}

    def known(self, asked: Collection[str]) -> Mapping[str, Answer]:
        """See the port."""
        if not asked:
            return {}
        mine = bulk.among(reads.c.id, sorted(asked), self._connection)
        found = self._connection.execute(
            select(reads).where(mine, reads.c.answer.is_not(None))
        ).mappings()
        answers = {row["id"]: opened(row, self._vault) for row in found}
        self._began |= {id_: answer.began_at for id_, answer in answers.items()}
        return answers

    def want(self, wanted: Mapping[str, tuple[str, Wanted, Lane]]) -> None:
        """See the port."""
        asked = [
            {
                "id": read,
                "connection_id": connection,
                "what": one.what.value,
                "subject": one.key,
                "rank": RANKS[lane],
                "wanted_at": self._now,
                "due_at": self._now + self._apart(read, one),
                "fence": 0,
                "attempts": 0,
            }
            for read, (connection, one, lane) in sorted(wanted.items())
        ]
        bulk.insert(self._connection, reads, asked, conflict=_AGAIN)

    def _apart(self, read: str, one: Wanted) -> timedelta:
        """How long a question waits so that its answer can be told from the one before (APART)."""
        began = self._began.get(read)
        if one.what not in MEMBERSHIPS or began is None or began < self._now - _OVER:
            return timedelta(0)
        return APART


def sealed(found: Found | None, former: str, vault: Vault) -> bytes:
    """An answer as it is stored. former: who else had the address before."""
    told = {} if found is None else _told(found)
    return vault.seal(orjson.dumps({**told, "former": former} if former or not told else told))


def _told(found: Found) -> dict[str, Any]:
    if isinstance(found, ReadMembership):
        group = {"key": found.group.key, "name": found.group.name}
        told = {"group": group, "user": found.user, "is_member": found.is_member}
        return {**told, "changed_at": found.changed_at}
    told = {"key": found.key, "changed_at": found.changed_at}
    if isinstance(found, ReadGroup):
        return {**told, "name": found.name}
    attributes = {"attributes": dict(found.attributes), "email": found.email}
    return {**told, **attributes, "is_active": found.is_active, "kind": found.kind}


def opened(row: RowMapping, vault: Vault) -> Answer:
    """The answer of a row that has one."""
    told = orjson.loads(vault.open(row["answer"])) or {}
    former = told.pop("former", "")
    found = _thing(What(row["what"]), told) if told else None
    return Answer(found, row["began_at"], row["true_at"], former)


def _thing(what: What, told: dict[str, Any]) -> Found:
    changed_at = told.pop("changed_at")
    moment = datetime.fromisoformat(changed_at) if changed_at is not None else None
    if what in MEMBERSHIPS:
        return ReadMembership(**{**told, "group": ReadGroup(**told["group"])}, changed_at=moment)
    made = ReadPerson if what in (What.PERSON, What.PERSON_AT) else ReadGroup
    return made(**told, changed_at=moment)


def has_directory(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether rosterd has access to the directory of the connection with this id."""
    return select(accesses.c.id).where(accesses.c.id == connection).exists()


def answers_of(connection: str, names: Collection[str]) -> Delete:
    """U5: lets go of what was read of a person who is deleted for good. names: ids, addresses."""
    told = sorted({one for name in names for one in (name, name.lower())})
    people = reads.c.what.in_([What.PERSON.value, What.PERSON_AT.value])
    pairs = reads.c.what.in_([what.value for what in sorted(MEMBERSHIPS)])
    ends = [reads.c.subject.endswith(f":{one}", autoescape=True) for one in told]
    mine = (people & reads.c.subject.in_(told)) | (pairs & or_(*ends))
    return delete(reads).where(reads.c.connection_id == connection, mine)
