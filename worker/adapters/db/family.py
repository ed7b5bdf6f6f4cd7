"""Accounts with parents (C4): who belongs to whom, at whatever depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from worker.adapters.db import rows


def family_of(connection: Connection, account: str) -> frozenset[str]:
    """Ids of an account and of everybody below it: whom its operators and tokens may work on."""
    table = rows.accounts
    below = select(table.c.id).where(table.c.id == account).cte("below", recursive=True)
    # UNION, not UNION ALL: it ends even where rows were brought into a circle by hand.
    below = below.union(select(table.c.id).where(table.c.parent_id == below.c.id))
    return frozenset(connection.execute(select(below.c.id)).scalars())


def is_account(connection: Connection, id_: str) -> bool:
    """Whether an account has this id."""
    table = rows.accounts
    return connection.execute(select(table.c.id).where(table.c.id == id_)).first() is not None


def line_above(connection: Connection, account: str) -> frozenset[str]:
    """Ids of an account, its parent, and so on up: whose operators it concerns."""
    table = rows.accounts
    above = select(table.c.id, table.c.parent_id).where(table.c.id == account)
    line = above.cte("line", recursive=True)
    line = line.union(select(table.c.id, table.c.parent_id).where(table.c.id == line.c.parent_id))
    return frozenset(connection.execute(select(line.c.id)).scalars())


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """By account: people who are not withdrawn, connections that are not retired, dead letters."""
    people, connections, letters = rows.people, rows.connections, rows.dead_letters
    wanted = (
        ("people", people, people.c.state != "withdrawn"),
        ("connections", connections, connections.c.state != "retired"),
        ("dead", letters, letters.c.state == "open"),
    )
    found: dict[str, dict[str, int]] = {}
    for name, table, where in wanted:
        statement = select(table.c.account_id, func.count()).where(where)
        for account, count in connection.execute(statement.group_by(table.c.account_id)):
            found.setdefault(account or "", {})[name] = count
    return found


def counts_of(connection: Connection, account: str) -> dict[str, int]:
    """The same of one account."""
    people, connections, letters = rows.people, rows.connections, rows.dead_letters
    wanted = (
        ("people", people, people.c.state != "withdrawn"),
        ("connections", connections, connections.c.state != "retired"),
        ("dead", letters, letters.c.state == "open"),
    )
    return {
        name: int(
            connection.execute(
                select(func.count()).where(table.c.account_id == account, where)
            ).scalar_one()
        )
        for name, table, where in wanted
    }


def as_tree(accounts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each account with its depth, children below their parent, in the order given."""
    known = {row["id"] for row in accounts}
    children: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in accounts:
        parent = row["parent_id"] if row["parent_id"] in known else None
        children.setdefault(parent, []).append(row)

    def walk(parent: str | None, depth: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for row in children.get(parent, ()):
            yield depth, row
            yield from walk(row["id"], depth + 1)

    yield from walk(None, 0)
