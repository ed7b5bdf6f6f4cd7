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
from domain.erasure import ERASED, Ledger, pattern_of
from domain.keys import address_id, when_free
from domain.model import Person, User
from worker.adapters.db import bulk, rows
from worker.adapters.db.access_history import is_kept
from worker.adapters.db.access_rows import access_history
from worker.adapters.db.api_rows import api_answers
from worker.adapters.db.family import line_above
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.observing_rows import plans
from worker.adapters.db.once import NO_MORE
from worker.adapters.db.replay_rows import group_notes, replays
from worker.adapters.vault import Vault

AT_ONCE = 500
#: How keys begin of who is signed in and has no token.
SIGNED_IN = "operator"


def names_of(person: Person, subjects: Sequence[User]) -> frozenset[str]:
    """A person's addresses and external ids."""
    told = {person.email, person.requested, person.pending}
    told |= {str(word.value) for user in subjects for word in user.facts.emails}
    return frozenset({one for one in told if one} | {user.key for user in subjects})


def redact(
    connection: Connection, vault: Vault, person: Person, names: frozenset[str], ledger: Ledger
) -> None:
    """Take a person's addresses and external ids out of what is not theirs."""
    mark = pattern_of(names)
    waiting = {when_free(address_id(person.account, one)) for one in names}
    events = _letters(connection, person.account, names, mark, ledger)
    waits, attempts = rows.waits, rows.attempts
    behind = bulk.among(waits.c.key, sorted(waiting), connection)
    events += connection.scalars(select(waits.c.event_id).where(behind)).all()
    tried = bulk.among(attempts.c.event_id, sorted(set(events)), connection)
    _rewrite(connection, attempts, (attempts.c.detail,), tried, mark, ledger)
    notices = rows.notices
    untold = (notices.c.kind == NoticeKind.OPERATOR_ALERT.value) & notices.c.state.in_(
        ["pending", "failed"]
    )
    of_account = (group_notes.c.account_id == person.account) | group_notes.c.account_id.is_(None)
    # Why somebody did something: texts of people, who may have named whom they did it to.
    audit = rows.audit
    by_hand = (audit.c.account_id == person.account) & rows.BY_HAND & (audit.c.reason != "")
    its = (alerts.c.account_id == person.account) | alerts.c.account_id.is_(None)
    for table, columns, which in (
        (alerts, (alerts.c.headline, alerts.c.details), its),
        (notices, (notices.c.content,), untold),
        (plans, (plans.c.summary,), plans.c.account_id == person.account),
        (replays, (replays.c.selection,), replays.c.selection.is_not(None)),
        (group_notes, (group_notes.c.text,), of_account),
        (rows.audit, (rows.audit.c.reason,), by_hand),
        *_history(connection, person),
    ):
        _rewrite(connection, table, columns, which, mark, ledger)
    _forget_answers(connection, vault, person, ledger)


def _history(connection: Connection, person: Person) -> list[tuple[Table, Any, Any]]:
    """Why somebody was given or taken access, in the words of whoever did it."""
    table = access_history
    mine = (table.c.account_id == person.account) & (table.c.reason != "")
    return [(table, (table.c.reason,), mine)] if is_kept(connection) else []


def _letters(
    connection: Connection,
    account: str,
    names: Collection[str],
    mark: re.Pattern[str],
    ledger: Ledger,
) -> list[int]:
    """Rewrite the account's letters that name the person; ids of their events."""
    table = rows.dead_letters
    columns = (table.c.first_error, table.c.last_error, table.c.note)
    says = [c.icontains(name, autoescape=True) for c in columns for name in sorted(names)]
    mine = (table.c.account_id == account) & or_(*says)
    found = connection.scalars(select(table.c.event_id).where(mine, table.c.event_id.is_not(None)))
    events = list(found)
    _rewrite(connection, table, columns, mine, mark, ledger)
    return events


def _rewrite(
    connection: Connection,
    table: Table,
    columns: Sequence[Column[Any]],
    which: Any,
    mark: re.Pattern[str],
    ledger: Ledger,
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
            ledger.add(str(table.name), "redacted", 1)


def _without(said: str | bytes, mark: re.Pattern[str]) -> str | bytes:
    if isinstance(said, str):
        return mark.sub(ERASED, said)
    return mark.sub(ERASED, said.decode("utf-8", "surrogateescape")).encode(
        "utf-8", "surrogateescape"
    )


def _forget_answers(connection: Connection, vault: Vault, person: Person, ledger: Ledger) -> None:
    """Whatever shows a person names their id.

    The key stays taken: the request, sent again, must not make the person anew.
    """
    table, tokens = api_answers, rows.tokens
    above = sorted(line_above(connection, person.account))
    may = tokens.c.account_id.is_(None) | tokens.c.account_id.in_(above)
    askers = {SIGNED_IN, *connection.scalars(select(tokens.c.id).where(may))}
    answers = connection.execute(
        select(table.c.id, table.c.answer).where(table.c.status != NO_MORE),
        execution_options={"yield_per": AT_ONCE},
    )
    gone = [
        row.id
        for row in answers
        if row.id.partition(":")[0] in askers
        and row.answer
        and person.id.encode() in vault.open(row.answer)
    ]
    connection.execute(
        update(table)
        .where(bulk.among(table.c.id, gone, connection))
        .values(status=NO_MORE, answer=vault.seal(b""))
    )
    ledger.add("api_answers", "emptied", len(gone))
