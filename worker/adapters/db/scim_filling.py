"""People and groups of a SCIM connection by the ten thousand, to measure with; on PostgreSQL."""

from __future__ import annotations

from worker.adapters.db.engine import Database

#: Members of a group.
SIZE = 10
_STAMP = "convert_to('[1,0,\"e\"]', 'UTF8')"
_FACTS = (
    'convert_to(\'[[[1,0,"e"],"Team \' || i || \'"],[[1,0,"e"],true],[0,0,""],[0,0,""],true]\','
    " 'UTF8')"
)
_COLUMNS = (
    "(id, account_id, connection_id, kind, key, alias, handle, document, version, is_told,"
    " created_at, modified_at)"
)
#: By name: what is inserted for each number i of people, or of groups.
_OF_PEOPLE = {
    "users": "(id, account_id, connection_id, key, facts, person_id)"
    " SELECT '{connection}:x' || i, '{account}', '{connection}', 'x' || i,"
    " convert_to('{{}}', 'UTF8'), 'p' || i",
    "people": "(id, account_id, email, requested, state, connection_id, user_key, claim,"
    " is_accepted, has_address, profile, role, is_break_glass)"
    " SELECT 'p' || i, '{account}', 'x' || i || '@x.example', 'x' || i || '@x.example', 'active',"
    " '{connection}', 'x' || i, {stamp}, true, true, convert_to('{{}}', 'UTF8'), 'member', false",
    "scim_resources": _COLUMNS
    + " SELECT md5('u' || i), '{account}', '{connection}', 'User', 'x' || i, 'x' || i,"
    " 'x' || i || '@x.example', json_build_object('userName', 'x' || i || '@x.example',"
    " 'externalId', 'x' || i, 'title', 'T' || mod(i, 100), 'active', true, 'emails',"
    " json_build_array(json_build_object('value', 'x' || i || '@x.example', 'type', 'work'))"
    ")::text, 1, true, now(), now()",
    "scim_values": "(resource_id, path, value)"
    " SELECT md5('u' || i), 'emails.value', 'x' || i || '@x.example'",
    "memberships": "(id, connection_id, group_key, user_key, stamp, is_member)"
    " SELECT '{connection}:' || length('g' || i / {size}) || ':g' || i / {size} || ':x' || i,"
    " '{connection}', 'g' || i / {size}, 'x' || i, {stamp}, true",
}
_OF_GROUPS = {
    "groups": "(id, account_id, connection_id, key, name, is_seen, facts)"
    " SELECT '{connection}:g' || i, '{account}', '{connection}', 'g' || i, 'Team ' || i, true,"
    " {facts}",
    "scim_resources": _COLUMNS
    + " SELECT md5('g' || i), '{account}', '{connection}', 'Group', 'g' || i, 'g' || i,"
    " 'team ' || i, json_build_object('displayName', 'Team ' || i, 'externalId', 'g' || i)::text,"
    " 1, true, now(), now()",
}


def fill_scim(database: Database, account: str, connection: str, people: int) -> None:
    """People x1, x2, .. and a group for each ten of them; statistics as autovacuum has them."""
    words = {
        "account": account,
        "connection": connection,
        "stamp": _STAMP,
        "facts": _FACTS,
        "size": SIZE,
    }
    with database.begin() as sql:
        sql.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for tables, first, last in ((_OF_PEOPLE, 1, people), (_OF_GROUPS, 0, people // SIZE)):
            for table, shape in tables.items():
                series = f"FROM generate_series({first}, {last}) AS i"
                sql.exec_driver_sql(f"INSERT INTO {table} {shape.format(**words)} {series}")
        for table in {*_OF_PEOPLE, *_OF_GROUPS}:
            sql.exec_driver_sql(f"ANALYZE {table}")
        sql.commit()
