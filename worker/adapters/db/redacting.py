"""What rows of others say of somebody who was deleted for good is taken out of them (U5).

Looked through are those that may name a person besides their own subject: dead letters, the
attempts of who waited for their address, alerts and the mails that tell of them, plans, replays,
and answers under a key, which go whole. Ids of ours stay: they lead to nobody any more.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, or_, select, update

from domain.consequences import NoticeKind
from domain.keys import address_id, when_free
from domain.model import Person, User
from worker.adapters.db import bulk, rows
from worker.adapters.db.api_rows import api_answers
from worker.adapters.db.family import line_above
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.observing_rows import plans
from worker.adapters.db.once import NO_MORE
from worker.adapters.db.replay_rows import group_notes, replays
from worker.adapters.vault import Vault

#: What stands where a name of the person stood.
ERASED = "erased"
AT_ONCE = 500


def redact(connection: Connection, vault: Vault, person: Person, subjects: Sequence[User]) -> None:
    """Take a person's addresses and external ids out of what is not theirs."""
    addresses = _addresses(person, subjects)
    names = addresses | {user.key for user in subjects}
    mark = _pattern(names)
    waiting = {when_free(address_id(person.account, one)) for one in addresses}
    events = _letters(connection, person.account, names, mark)
    waits, attempts = rows.waits, rows.attempts
    behind = bulk.among(waits.c.key, sorted(waiting), connection)
    events += connection.scalars(select(waits.c.event_id).where(behind)).all()
    tried = bulk.among(attempts.c.event_id, sorted(set(events)), connection)
    _rewrite(connection, attempts, (attempts.c.detail,), tried, mark)
    notices = rows.notices
    untold = (notices.c.kind == NoticeKind.OPERATOR_ALERT.value) & notices.c.state.in_(
        ["pending", "failed"]
    )
    of_account = (group_notes.c.account_id == person.account) | group_notes.c.account_id.is_(None)
    its = (alerts.c.account_id == person.account) | alerts.c.account_id.is_(None)
    for table, columns, which in (
        (alerts, (alerts.c.headline, alerts.c.details), its),
        (notices, (notices.c.content,), untold),
        (plans, (plans.c.summary,), plans.c.account_id == person.account),
        (replays, (replays.c.selection,), replays.c.selection.is_not(None)),
        (group_notes, (group_notes.c.text,), of_account),
    ):
        _rewrite(connection, table, columns, which, mark)
    _forget_answers(connection, vault, person)


def _addresses(person: Person, subjects: Sequence[User]) -> set[str]:
    told = {person.email, person.requested, person.pending}
    told |= {str(word.value) for user in subjects for word in user.facts.emails}
    return {one for one in told if one}


def _pattern(names: Collection[str]) -> re.Pattern[str]:
    """Whole names only: `u1` is in neither `u10` nor `u1@example.com`."""
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w.+@-])(?:{either})(?![\w@+-]|\.\w)", re.IGNORECASE)


def _letters(
    connection: Connection, account: str, names: Collection[str], mark: re.Pattern[str]
) -> list[int]:
    """Rewrite the account's letters that name the person; ids of their events."""
    table = rows.dead_letters
    columns = (table.c.first_error, table.c.last_error, table.c.note)
    says = [c.icontains(name, autoescape=True) for c in columns for name in sorted(names)]
    mine = (table.c.account_id == account) & or_(*says)
    found = connection.scalars(select(table.c.event_id).where(mine, table.c.event_id.is_not(None)))
    events = list(found)
    _rewrite(connection, table, columns, mine, mark)
    return events


def _rewrite(
    connection: Connection,
    table: Table,
    columns: Sequence[Column[Any]],
    which: Any,
    mark: re.Pattern[str],
) -> None:
    """Text, or JSON as bytes: what stands for a name stands in quotes, before and after."""
    for row in connection.execute(select(table.c.id, *columns).where(which)).all():
        new = {
            column.name: value
            for column, was in zip(columns, row[1:], strict=True)
            if was is not None and (value := _without(was, mark)) != was
        }
        if new:
            connection.execute(update(table).where(table.c.id == row.id).values(**new))


def _without(said: str | bytes, mark: re.Pattern[str]) -> str | bytes:
    if isinstance(said, str):
        return mark.sub(ERASED, said)
    return mark.sub(ERASED, said.decode("utf-8", "surrogateescape")).encode(
        "utf-8", "surrogateescape"
    )


def _forget_answers(connection: Connection, vault: Vault, person: Person) -> None:
    """Whatever shows a person names their id.

    The key stays taken: the request, sent again, must not make the person anew.
    """
    table, tokens = api_answers, rows.tokens
    above = sorted(line_above(connection, person.account))
    may = tokens.c.account_id.is_(None) | tokens.c.account_id.in_(above)
    theirs = set(connection.scalars(select(tokens.c.id).where(may)))
    answers = connection.execute(
        select(table.c.id, table.c.answer).where(table.c.status != NO_MORE),
        execution_options={"yield_per": AT_ONCE},
    )
    gone = [
        row.id
        for row in answers
        if row.id.partition(":")[0] in theirs
        and row.answer
        and person.id.encode() in vault.open(row.answer)
    ]
    connection.execute(
        update(table)
        .where(bulk.among(table.c.id, gone, connection))
        .values(status=NO_MORE, answer=vault.seal(b""))
    )
