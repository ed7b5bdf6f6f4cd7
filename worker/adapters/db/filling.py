"""Large tables for measurements, filled by the database: ended events, people, memberships."""

from __future__ import annotations

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


def fill_ended(database: Database, connection_id: str, count: int) -> None:
    """Events that ended, of the connection that is measured."""
    _fill(database, {"events": _EVENTS}, connection_id, count)


def fill_people(database: Database, connection_id: str, count: int) -> None:
    """Subjects, persons, addresses and memberships beside those that are measured."""
    _fill(database, _PEOPLE, connection_id, count)


def _fill(database: Database, tables: dict[str, str], connection_id: str, count: int) -> None:
    is_postgres = database.is_postgres
    words = {
        "connection": connection_id,
        "bytes": "bytea" if is_postgres else "blob",
        "empty": "''::bytea" if is_postgres else "x''",
        "now": "now()" if is_postgres else "'2026-01-01 00:00:00.000000'",
        "true": "true" if is_postgres else "1",
        "false": "false" if is_postgres else "0",
    }
    series = _SERIES[is_postgres].format(count=count)
    with database.begin() as connection:
        if is_postgres:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for table, shape in tables.items():
            said = f"INSERT INTO {table} {shape.format(**words)} {series}"
            connection.exec_driver_sql(said)
            connection.exec_driver_sql(f"ANALYZE {table}")
        connection.commit()


def forget_mails(database: Database) -> None:
    """Mails that wait are not sent: what is measured is something else."""
    with database.begin() as connection:
        if database.is_postgres:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("UPDATE notices SET state = 'cancelled', due_at = NULL")
        connection.commit()
