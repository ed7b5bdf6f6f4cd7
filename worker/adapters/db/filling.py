"""Large tables for measurements, filled by the database: ended events, people, memberships."""

from __future__ import annotations

from typing import Any

from worker.adapters.db.engine import Database

_SERIES = {
    True: "FROM generate_series(1, {count}) AS i",
    False: "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    " SELECT i FROM n) AS n",
}
_EVENTS = (
    "(account_id, connection_id, feed_id, delivery_id, ordinal, digest, content_digest,"
    " external_id, type, subject, kind, lane, occurred_at, received_at, is_clamped, state,"
    " attempts, crashes)"
    " SELECT 'a', '{connection}', 'f', -i, 0, CAST(CAST(i AS text) AS {bytes}), {empty},"
    " CAST(i AS text), 't', 's', 'users.create', 'standard', {now}, {now}, {false}, 'ended', 0, 0"
)
_PEOPLE = {
    "users": "(id, account_id, connection_id, key, facts)"
    " SELECT '{connection}:x' || i, 'a', '{connection}', 'x' || i, {empty}",
    "people": "(id, account_id, email, requested, state, claim, is_accepted, has_address, profile,"
    " role, is_break_glass) SELECT 'p' || i, 'a', 'x' || i || '@x', 'x' || i || '@x', 'active',"
    " {empty}, {true}, {true}, {empty}, 'member', {false}",
    "addresses": "(id, person_id) SELECT 'a:x' || i || '@x', 'p' || i",
    "memberships": "(id, connection_id, group_key, user_key, stamp, is_member)"
    " SELECT '{connection}:g:' || i, '{connection}', 'g' || (i - i / 100 * 100), 'x' || i,"
    " {empty}, {true}",
}

#: As if the IdP had told of each: `u<i>`, an address and a name; a thousand in each group.
_STAMP = '[1,0,"e"]'
_TOLD = {
    "users": "(id, account_id, connection_id, key, facts, person_id)"
    " SELECT '{connection}:u' || (i - 1), 'a', '{connection}', 'u' || (i - 1),"
    ' {open}\'{{"d":true,"p":{{"given_name":[{stamp},"Ana"]}},"e":[[{stamp},"f","u\' ||'
    " (i - 1) || '@example.com\"]]}}'{shut}, 'p' || (i - 1)",
    "people": "(id, account_id, email, requested, state, claim, is_accepted, has_address, profile,"
    " role, is_break_glass, connection_id, user_key) SELECT 'p' || (i - 1), 'a',"
    " 'u' || (i - 1) || '@example.com', 'u' || (i - 1) || '@example.com', 'active', {empty},"
    " {true}, {true}, {empty}, 'member', {false}, '{connection}', 'u' || (i - 1)",
    "memberships": "(id, connection_id, group_key, user_key, stamp, is_member)"
    " SELECT '{connection}:' || length('g' || ((i - 1) / 1000)) || ':g' || ((i - 1) / 1000) ||"
    " ':u' || (i - 1), '{connection}', 'g' || ((i - 1) / 1000), 'u' || (i - 1),"
    " {open}'{stamp}'{shut}, {true}",
}
_TOLD_GROUPS = {
    "groups": "(id, account_id, connection_id, key, name, is_seen, facts)"
    " SELECT '{connection}:g' || (i - 1), 'a', '{connection}', 'g' || (i - 1),"
    " 'Group ' || (i - 1), {true}, {open}'[[{stamp},\"Group ' || (i - 1) ||"
    ' \'"],[{stamp},true],[0,0,""],[0,0,""],true]\'{shut}'
}


def fill_told(database: Database, connection_id: str, count: int) -> None:
    """People of the connection as their IdP told of them, and groups of a thousand of them."""
    _fill(database, _TOLD, connection_id, count)
    _fill(database, _TOLD_GROUPS, connection_id, max(1, count // 1000))


def fill_ended(database: Database, connection_id: str, count: int, *, is_told: bool = True) -> None:
    """Events that ended, of the connection that is measured. is_told: see `_fill`."""
    _fill(database, {"events": _EVENTS}, connection_id, count, is_told=is_told)


def fill_people(
    database: Database, connection_id: str, count: int, *, is_told: bool = True
) -> None:
    """Subjects, persons, addresses and memberships beside those that are measured."""
    _fill(database, _PEOPLE, connection_id, count, is_told=is_told)


def _fill(
    database: Database,
    tables: dict[str, str],
    connection_id: str,
    count: int,
    *,
    is_told: bool = True,
) -> None:
    """is_told: whether the planner hears of it at once, as from autovacuum."""
    is_postgres = database.is_postgres
    words = {
        "connection": connection_id,
        "bytes": "bytea" if is_postgres else "blob",
        "empty": "''::bytea" if is_postgres else "x''",
        "now": "now()" if is_postgres else "'2026-01-01 00:00:00.000000'",
        "true": "true" if is_postgres else "1",
        "false": "false" if is_postgres else "0",
        "stamp": _STAMP,
        "open": "convert_to(" if is_postgres else "CAST(",
        "shut": ", 'UTF8')" if is_postgres else " AS blob)",
    }
    series = _SERIES[is_postgres].format(count=count)
    with database.begin() as connection:
        if is_postgres:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for table, shape in tables.items():
            said = f"INSERT INTO {table} {shape.format(**words)} {series}"
            connection.exec_driver_sql(said)
            if is_told:
                connection.exec_driver_sql(f"ANALYZE {table}")
        connection.commit()


def forget_mails(database: Database) -> None:
    """Mails that wait are not sent: what is measured is something else."""
    with database.begin() as connection:
        if database.is_postgres:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("UPDATE notices SET state = 'cancelled', due_at = NULL")
        connection.commit()


def vacuumed(database: Database) -> None:
    """What autovacuum does within a minute of filling a table; it may be off where this runs."""
    if not database.is_postgres:
        return
    with database.open(statement_ms=0) as connection:
        raw: Any = connection.connection.dbapi_connection
        # No VACUUM runs inside a transaction.
        raw.autocommit = True
        connection.exec_driver_sql("VACUUM (ANALYZE)")
