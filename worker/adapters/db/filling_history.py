"""Years of events for measurements, filled by the database: ended, dead, and what they changed."""

from __future__ import annotations

from collections.abc import Sequence

from worker.adapters.db.engine import Database

_SERIES = {
    True: "FROM generate_series(1, {count}) AS i",
    False: "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    " SELECT i FROM n) AS n",
}
#: One a second; of each hundred ended events two were ignored.
_EVENT = (
    "(account_id, connection_id, feed_id, delivery_id, ordinal, digest, content_digest,"
    " external_id, type, subject, kind, lane, occurred_at, received_at, is_clamped, state, outcome,"
    " reason, attempts, crashes)"
)
_ENDED = (
    f"{_EVENT} SELECT '{{account}}', {{connection}}, 'f', -i, 0,"
    " CAST('e' || i AS {bytes}), {empty}, 'e' || i,"
    " CASE mod(i, 4) WHEN 0 THEN 'user.suspended' ELSE 'user.upserted' END,"
    " 'x' || mod(i, 50000), 'users.update', 'standard', {at}, {at}, {false}, 'ended',"
    " CASE mod(i, 50) WHEN 0 THEN 'ignored' ELSE 'applied' END,"
    " CASE mod(i, 50) WHEN 0 THEN 'out_of_scope' END, 0, 0"
)
_DEAD = (
    f"{_EVENT} SELECT '{{account}}', {{connection}}, 'f', -i, 0,"
    " CAST('d' || i AS {bytes}), {empty}, 'd' || i, 'user.upserted',"
    " 'y' || i, 'users.create', 'standard', {at}, {at}, {false}, 'dead', 'dead',"
    " CASE mod(i, 3) WHEN 0 THEN 'conflict' ELSE 'domain_not_allowed' END, 1, 0"
)
_LETTERS = (
    "INSERT INTO dead_letters (event_id, account_id, connection_id, state, reason, fingerprint,"
    " first_error, last_error, first_at, last_at, attempts, note)"
    " SELECT id, account_id, connection_id, 'open', reason, reason || mod(id, 40),"
    " 'domain example.org is not allowed', 'domain example.org is not allowed', received_at,"
    " received_at, 1, '' FROM events WHERE state = 'dead'"
)
_AUDIT = (
    "INSERT INTO audit (account_id, at, actor, action, subject, event_id, before, after, reason)"
    " SELECT account_id, received_at, CASE mod(id, 100) WHEN 0 THEN 'cli:ana' ELSE 'event' END,"
    " CASE mod(id, 100) WHEN 0 THEN 'connection.set' ELSE 'user.update' END, 'p' || subject,"
    " CASE mod(id, 100) WHEN 0 THEN NULL ELSE id END, {null}, {null}, ''"
    " FROM events WHERE outcome = 'applied'"
)


def fill_history(
    database: Database, account: str, connections: Sequence[str], *, ended: int, dead: int
) -> None:
    """Events of an account's connections in turn, a second apart, the dead ones last."""
    is_postgres = database.is_postgres
    each = " ".join(f"WHEN {place} THEN '{one}'" for place, one in enumerate(connections))
    words = {
        "account": account,
        "connection": f"CASE mod(i, {len(connections)}) {each} END",
        "bytes": "bytea" if is_postgres else "blob",
        "empty": "''::bytea" if is_postgres else "x''",
        "null": "'null'::bytea" if is_postgres else "CAST('null' AS blob)",
        "false": "false" if is_postgres else "0",
    }
    with database.begin() as sql:
        if is_postgres:
            sql.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for shape, count in ((_ENDED, ended), (_DEAD, dead)):
            text = shape.format(**words, at=_at(count, is_postgres=is_postgres))
            series = _SERIES[is_postgres].format(count=count)
            sql.exec_driver_sql(f"INSERT INTO events {text} {series}")
        sql.exec_driver_sql(_LETTERS)
        sql.exec_driver_sql(_AUDIT.format(**words))
        for table in ("events", "dead_letters", "audit"):
            sql.exec_driver_sql(f"ANALYZE {table}")
        sql.commit()


def _at(count: int, *, is_postgres: bool) -> str:
    if is_postgres:
        return f"now() - ({count} - i) * interval '1 second'"
    return f"(CAST(strftime('%s', 'now') AS INTEGER) - ({count} - i)) * 1000000"
