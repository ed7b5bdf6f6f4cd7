"""What SCIM and drains ask of PostgreSQL, by hand: `worker/adapters/db/direct.py` says why.

Columns are named, never `*`: a statement that is prepared outlives a migration that adds one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from worker.adapters.db import rows
from worker.adapters.db.arrays import array_type
from worker.adapters.db.breaker_rows import breakers
from worker.adapters.db.scim_rows import scim_resources


def columns(table: Table, of: str = "") -> str:
    """The columns of a table, for a SELECT."""
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{column.name}"' for column in table.c)


# -- who speaks ----------------------------------------------------------------------------

#: Live tokens with this prefix, each with the SCIM feeds that it may speak for.
SPEAKERS = """
SELECT t.id, t.hash, t.scopes, t.expires_at, t.last_used_at, f.id AS feed, f.state AS feed_state,
 f.last_heard_at, f.dialect, c.id AS connection, c.account_id, c.state AS connection_state,
 c.settings, c.scope_rule, clock_timestamp() AS now
FROM tokens t JOIN connections c ON c.account_id = t.account_id
JOIN feeds f ON f.connection_id = c.id
WHERE t.prefix = $1 AND t.revoked_at IS NULL AND f.source = 'scim' AND f.state <> 'retired'
 AND c.state <> 'retired' AND (t.feed_id IS NULL OR t.feed_id = f.id)
"""

# -- resources -----------------------------------------------------------------------------

_RESOURCE = columns(scim_resources)
_LOCKED = f"""
SELECT {_RESOURCE} FROM scim_resources
WHERE id = ANY($1) AND connection_id = $2 AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE
"""
#: $1: ids; $2: connection.
RESOURCES_LOCKED, RESOURCES_FREE = _LOCKED, f"{_LOCKED} SKIP LOCKED"
#: $1: names, which are locked in their order.
CLAIM = """
SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM
 (SELECT unnest($1::text[]) AS name ORDER BY 1) AS names
"""
#: $1: connection; $2: kind; $3: handles; $4: aliases. A deleted one bears its key as alias, or was
#: never called anything.
RESOURCES_NAMED = f"""
SELECT {_RESOURCE} FROM scim_resources WHERE connection_id = $1 AND kind = $2
 AND (handle = ANY($3) OR alias = ANY($4) OR (key = ANY($4) AND deleted_at IS NULL)) ORDER BY id
"""
#: $1: ids; $2: connection; $3: kind.
RESOURCE_KEYS = """
SELECT id, key FROM scim_resources
WHERE id = ANY($1) AND connection_id = $2 AND kind = $3 AND deleted_at IS NULL
"""

# -- the directory -------------------------------------------------------------------------

#: $1: accounts.
ACCOUNTS_LOCKED = "SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
ACCOUNTS_SHARED = "SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR SHARE"
_ANNOUNCING = "hashtextextended('announcing ' || $1::text, 0)"
TURN_ALONE = f"SELECT pg_advisory_xact_lock({_ANNOUNCING})"
TURN_BESIDE = f"SELECT pg_advisory_xact_lock_shared({_ANNOUNCING})"


def locked(table: Table, *, is_shared: bool = False) -> str:
    """Rows by their ids ($1), locked in the order of their ids."""
    how = "SHARE" if is_shared else "NO KEY UPDATE"
    chosen = f"SELECT {columns(table)} FROM {table.name} WHERE id = ANY($1)"
    return f"{chosen} ORDER BY id FOR {how}"


def made_or_locked(table: Table, names: Sequence[str], *, is_shared: bool = False) -> str:
    """Rows as they are, or as they are made where they are missing; a column is a parameter.

    One that is being made by somebody else is waited for, and then in neither part: ask again.
    """
    arrays = ", ".join(f"${n}::{array_type(table.c[name])}" for n, name in enumerate(names, 1))
    listed = ", ".join(f'"{name}"' for name in names)
    new = ", ".join(f'v."{name}"' for name in names)
    place = list(names).index("id") + 1
    how = "SHARE" if is_shared else "NO KEY UPDATE"
    return (
        f"WITH made AS (INSERT INTO {table.name} ({listed}) "
        f"SELECT {new} FROM unnest({arrays}) AS v({listed}) "
        f"WHERE NOT EXISTS (SELECT FROM {table.name} t WHERE t.id = v.id) "
        f"ON CONFLICT DO NOTHING RETURNING {columns(table)}), "
        f"there AS (SELECT {columns(table)} FROM {table.name} "
        f"WHERE id = ANY(${place}) ORDER BY id FOR {how}) "
        f"SELECT {columns(table)} FROM made UNION ALL SELECT {columns(table)} FROM there"
    )


_PERSON = columns(rows.people)
#: $1: ids; $2: accounts: who keeps them open comes along (U6).
PEOPLE = f"""
SELECT {_PERSON} FROM people
WHERE id = ANY($1) OR (account_id = ANY($2) AND (role = 'owner' OR is_break_glass))
"""
#: The same of subjects ($1).
PEOPLE_OF = f"""
SELECT {_PERSON} FROM people WHERE id IN (SELECT person_id FROM users WHERE id = ANY($1))
UNION ALL SELECT {_PERSON} FROM people
WHERE account_id = ANY($2) AND (role = 'owner' OR is_break_glass)
"""
#: $1: connections: whether anybody of theirs was deleted for good (U5).
BURIED = "SELECT 1 AS one FROM tombstones WHERE connection_id = ANY($1) LIMIT 1"
KEEPERS = f"""
SELECT {_PERSON} FROM people WHERE account_id = ANY($1) AND (role = 'owner' OR is_break_glass)
"""
#: $1: connection; $2: keys of its subjects. Not kept: of two indexes that begin with the connection
#: one would read all that it has, and while it has little they look the same.
EDGES_OF = f"""
SELECT {columns(rows.memberships)} FROM memberships WHERE connection_id = $1 AND user_key = ANY($2)
"""
#: $1: ids of subjects.
LINKED = "SELECT id, person_id FROM users WHERE id = ANY($1)"
#: $1: keys; $2: now. Events that others hold are being decided behind our locks. The plan is
#: kept (`Direct`), and made while next to nothing waits: OFFSET and coalesce leave it no choice but
#: to look up key by key.
WAKE = """
UPDATE events SET due_at = $2 WHERE id IN (
 SELECT e.id FROM events e WHERE coalesce(e.state, '') = 'waiting' AND e.id = ANY (ARRAY(
  SELECT w.event_id FROM unnest($1::text[]) AS k("key"), LATERAL
   (SELECT event_id FROM waits WHERE waits."key" = k."key" OFFSET 0) AS w))
 ORDER BY e.id FOR NO KEY UPDATE SKIP LOCKED)
"""
#: $1: people. Their links die at once: `CLOSED`. While there are few links, the index of all open
#: ones looks as good as that of people, and the plan is kept: coalesce leaves it no choice.
LINKS_CLOSED = """
UPDATE links SET state = 'revoked' WHERE id IN (
 SELECT id FROM links WHERE person_id = ANY($1) AND coalesce(state, '') = 'open'
 ORDER BY id FOR UPDATE)
RETURNING id
"""
CLOSED = "closed"
#: Mails that would carry one of them are not sent.
NOTICES_CANCELLED = f"""
UPDATE notices SET state = 'cancelled', due_at = NULL, secret = NULL
WHERE link_id IN (SELECT id FROM {CLOSED}) AND state IN ('pending', 'failed')
"""

# -- the breaker ---------------------------------------------------------------------------

#: $1: connection; the window is counted behind the lock (C6).
BREAKER_LOCKED = f"""
SELECT {columns(breakers)} FROM breakers WHERE connection_id = $1 FOR NO KEY UPDATE
"""
#: $2: since when.
MARKS_COUNTED = """
SELECT count(*) AS count FROM breaker_marks WHERE connection_id = $1 AND at > $2
"""
#: $2: keys; $3: since when.
MARKS_KNOWN = """
SELECT key FROM breaker_marks WHERE connection_id = $1 AND key = ANY($2) AND at > $3
"""

# -- what is shown -------------------------------------------------------------------------

#: $1: ids of subjects. People, where the subjects have one, beside what was told of them.
USERS_SEEN = f"""
SELECT {columns(rows.people, "p")}, u."key", u.facts
FROM users u LEFT JOIN people p ON p.id = u.person_id WHERE u.id = ANY($1)
"""
#: $1: connection; $2: keys of users. Whether the membership is current is for the domain to say.
GROUPS_OF = f"""
SELECT {columns(rows.groups, "g")}, m.user_key, m.stamp, m.is_member, r.id AS r FROM memberships m
JOIN groups g ON g.id = m.connection_id || ':' || m.group_key
JOIN scim_resources r ON r.connection_id = m.connection_id AND r.kind = 'Group'
 AND r.key = m.group_key AND r.deleted_at IS NULL
WHERE m.connection_id = $1 AND m.user_key = ANY($2) AND m.is_member ORDER BY r.id
"""
#: $1: id.
GROUP = f"SELECT {columns(rows.groups)} FROM groups WHERE id = $1"
#: $1: connection; $2: key of the group; $3: the key before the page; $4: how many.
MEMBERS = """
SELECT m.connection_id, m.group_key, m.user_key, m.stamp, m.is_member, r.id AS r,
 r.document::json ->> 'userName' AS name
FROM memberships m LEFT JOIN scim_resources r ON r.connection_id = m.connection_id
 AND r.kind = 'User' AND r.key = m.user_key AND r.deleted_at IS NULL
WHERE m.connection_id = $1 AND m.group_key = $2 AND m.is_member AND m.user_key > $3
ORDER BY m.user_key LIMIT $4::int
"""
#: $1: id; $2: connection; $3: kind.
RESOURCE = f"""
SELECT {_RESOURCE} FROM scim_resources WHERE id = $1 AND connection_id = $2 AND kind = $3
"""
#: $1: connection; $2: kind; $3: lower-cased userName or displayName; $4: how many.
RESOURCES_BY_NAME = f"""
SELECT {_RESOURCE} FROM scim_resources
WHERE connection_id = $1 AND kind = $2 AND handle = $3 AND deleted_at IS NULL
ORDER BY id LIMIT $4::int
"""
