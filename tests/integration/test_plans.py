"""D7: whatever statement a drain or a sweep says, an index answers it, however full the tables.

The statements are not listed here: they are overheard while a drain does everything it can do,
so that a new one is under test from its first day.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg import RawCursor
from sqlalchemy import Connection, Engine, event, text

from domain.replays import Selection
from tests.harness import Feed, Rosterd
from tests.listening import listening_on
from tests.receiver import receiver
from worker.adapters.db.breaker_rows import holds
from worker.adapters.db.dead_queries import dead_groups
from worker.adapters.db.direct import Asked, Direct
from worker.adapters.db.engine import Database
from worker.adapters.db.event_queries import dead_letters
from worker.adapters.db.event_search import EventFilter, search_events
from worker.adapters.db.filling import fill_ended, fill_people
from worker.adapters.db.minutes import noted_minutes

#: Rows of what has ended, in each of the tables that grow. The long form: a million.
ROWS = int(os.environ.get("ROSTERD_TEST_ROWS", "50000"))
GROWING = (
    "events|deliveries|attempts|users|people|addresses|memberships|waits|dead_letters|notices|"
    "announcements|dispatches|sequences|links|audit|decisions|access_history"
)
_SCAN = re.compile(rf"Seq Scan on ({GROWING})\b")

#: What a measurement's filling leaves out.
FILL = {
    "announcements": "(id, message_id, account_id, subject, sequence, type, lane, data, made_at)"
    " SELECT -i, 'm', 'a', 's' || i, 1, 'user.updated', 'standard', '', now()",
    # One of ten waits, as while an application is away.
    "dispatches": "(id, announcement_id, endpoint_id, subject, sequence, lane, state, attempts,"
    " fence, due_at) SELECT -i, -i, 'e' || mod(i, 7), 's' || i, 1, 'standard', 'pending', 0, 0,"
    " CASE mod(i, 10) WHEN 0 THEN now() END",
    "sequences": "(subject, account_id, last) SELECT 's' || i, 'a', 1",
    "deliveries": "(id, feed_id, received_at, headers, body, body_digest, is_cut) SELECT -i, 'f',"
    " now(), '', '', '', false",
    "attempts": "(event_id, at, outcome, detail, worker) SELECT -i, now(), 'applied', '', 'w'",
    "audit": "(account_id, at, actor, action, subject, event_id, reason) SELECT 'a', now(),"
    " 'event', 'user.update', 'p' || i, CASE mod(i, 100) WHEN 0 THEN NULL ELSE -i END, ''",
    "access_history": "(account_id, group_id, person_id, at, was, now, event_id, actor, reason)"
    " SELECT 'a', 'g' || mod(i, 100), 'p' || i, now(), '', 'member', -i, 'w', ''",
    "decisions": "(account_id, connection_id, kind, inputs, event_id, made_at, made_by) SELECT 'a',"
    " 'c', 'link', '', -i, now(), 'event'",
    "waits": "(event_id, key) SELECT -i, 'k' || i",
    # One of ten is open, as after a bad day.
    "dead_letters": "(event_id, account_id, connection_id, state, reason, fingerprint, first_error,"
    " last_error, first_at, last_at, attempts, note) SELECT -i, 'a', 'c', CASE mod(i, 10) WHEN 0"
    " THEN 'open' ELSE 'replayed' END, 'error', 'f' || mod(i, 7), '', '', now(), now(), 1, ''",
    "links": "(id, token_hash, account_id, person_id, kind, address, state, created_at, expires_at)"
    " SELECT 'l' || i, decode(md5(i::text), 'hex'), 'a', 'p' || i, 'invitation', 'x',"
    " CASE mod(i, 10) WHEN 0 THEN 'open' ELSE 'accepted' END, now(), now() + interval '9 days'",
    "notices": "(id, account_id, person_id, kind, address, state, attempts, fence, created_at)"
    " SELECT 'n' || i, 'a', 'p' || i, 'invitation', 'x', 'sent', 1, 1, now()",
}


@contextmanager
def overheard(rosterd: Rosterd) -> Iterator[dict[str, Any]]:
    """Every statement said meanwhile, with one set of its parameters."""
    said: dict[str, Any] = {}
    writer: Engine = rosterd.parts.database._writer

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        one = parameters[0] if isinstance(parameters, list) and parameters else parameters
        said.setdefault(statement, one)

    sent = Direct._sent

    def hear_direct(self: Direct, asked: Asked) -> Any:
        said.setdefault(asked.statement, tuple(asked.given))
        return sent(self, asked)

    event.listen(writer, "before_cursor_execute", hear)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Direct, "_sent", hear_direct)
        try:
            yield said
        finally:
            event.remove(writer, "before_cursor_execute", hear)


def everything(rosterd: Rosterd, feed: Feed) -> None:
    """All kinds of events and outcomes: applied, waiting, dead, retried, replayed, swept."""
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "one"})
    for i in range(4):
        rosterd.hire(feed, f"u{i}", f"u{i}@example.com")
    rosterd.hire(feed, "u9", "u9@forbidden.example")
    rosterd.hire(feed, "u8", "u1@example.com")
    for type_, data in (
        ("group.member_added", {"group_id": "g1", "user_id": "u1"}),
        ("group.member_added", {"group_id": "g1", "user_id": "nobody"}),
        ("group.member_removed", {"group_id": "g1", "user_id": "u1"}),
        ("group.members_replaced", {"group_id": "g1", "user_ids": ["u1", "u2"]}),
        ("user.email_changed", {"id": "u1", "email": "other@example.com"}),
        ("user.suspended", {"id": "u2"}),
        ("user.reactivated", {"id": "u2"}),
        ("group.deleted", {"id": "g1"}),
    ):
        rosterd.tell(feed, type_, data)
    rosterd.allow("forbidden.example")
    rosterd.parts.replay.start(Selection(account=rosterd.account_id), actor="t", reason="t")
    rosterd.drain()
    rosterd.parts.notify.run()
    with rosterd.setup() as use:
        strict = {"breaker_min": "0", "breaker_percent": "0"}
        use.change_settings(use.connection(feed.connection), strict, reason="t")
    rosterd.tell(feed, "user.suspended", {"id": "u3"})
    assert [row["state"] for row in rosterd.table(holds)] == ["open"]
    rosterd.parts.sweep.run()
    rosterd.parts.sweep.sweeper.heads(["urgent", "standard", "bulk"])


def asked(rosterd: Rosterd) -> None:
    """What operators and their monitoring ask for again and again."""
    rosterd.parts.gauges.snapshot()
    with rosterd.parts.database.read() as connection:
        for selection in (Selection(), Selection(account=rosterd.account_id, reason="error")):
            dead_letters(connection, selection, state="open", limit=100)
        dead_groups(connection)
        mine = frozenset({rosterd.account_id})
        for asked_for in (
            *({}, {"email": "u1@example.com"}, {"subject": "u1"}, {"external_id": "msg_1"}),
            *(
                {"state": "dead"},
                {"state": "open"},
                {"type": "user.upserted"},
                {"source": "standard"},
            ),
            {"since": rosterd.at(0), "until": rosterd.now()},
        ):
            search_events(connection, EventFilter(mine, **asked_for), limit=50)
        noted_minutes(connection, mine, since=rosterd.at(0))
    rosterd.parts.replay.store.choose(Selection(account=rosterd.account_id))


def listed(rosterd: Rosterd) -> None:
    """What applications ask the API for."""
    with rosterd.setup() as use:
        token = use.add_token(rosterd.account_id, name="app", scopes=["directory:read"])
    headers = {"Authorization": f"Bearer {token}"}

    def ask(path: str, **params: str) -> Any:
        told = rosterd.http.get(f"/api/v1{path}", params=params, headers=headers)
        assert told.status_code == 200, told.text
        return told.json()["items"] if "items" in told.json() else told.json()

    user = ask("/users", external_id="u1")[0]["id"]
    groups = {one["name"]: one["id"] for one in ask("/groups")}
    group = groups["Crew"]
    for params in (
        {"email": "u1@example.com"},
        {"external_id": "u1"},
        {"group": group},
        *({"state": state} for state in ("invited", "active", "suspended")),
        *({"role": role} for role in ("owner", "member")),
        *({"managed": managed, "limit": "1"} for managed in ("true", "false")),
    ):
        ask("/users", **params)
    for path in (f"/users/{user}", f"/users/{user}/groups", f"/groups/{group}"):
        ask(path)
    for name in ("Crew", "Owners", "Team Members", "Security"):
        ask(f"/groups/{groups[name]}/members")


def operated(rosterd: Rosterd, feed: Feed) -> None:
    """What those who watch ask the API for."""
    with rosterd.setup() as use:
        token = use.add_token(rosterd.account_id, name="ops", scopes=["operations:read"])
        whole = use.add_token(None, name="all", scopes=["operator"])

    def ask(path: str, bearer: str = token, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {bearer}"}
        told = rosterd.http.get(f"/api/v1{path}", params=params, headers=headers)
        assert told.status_code == 200, told.text
        return told.json()

    user = ask("/users", external_id="u1")["items"][0]["id"]
    event = ask("/events", subject="u1")["items"][0]["id"]
    since = {"since": "2026-01-01T00:00:00Z", "until": "2040-01-01T00:00:00Z"}
    for bearer in (token, whole):
        for params in (
            {},
            {"limit": "1"},
            {"connection": feed.connection},
            {"source": "standard"},
            {"subject": "u1"},
            {"email": "u1@example.com"},
            {"external_id": "m1"},
            {"outcome": "ignored"},
            {"reason": "domain_not_allowed"},
            {"type": "user.upserted"},
            *({"state": state} for state in ("pending", "waiting", "held", "dead", "ended")),
            since,
        ):
            ask("/events", bearer, **params)
        for params in ({}, {"events": "true"}, {"subject": user}, {"actor": "cli:x"}, since):
            ask("/audit", bearer, **params)
        ask("/events/tail", bearer)
        for path in ("/holds", "/overrides", "/endpoints", "/connections", "/accounts", "/alerts"):
            ask(path, bearer)
    ask(f"/events/{event}", body="true")
    ask(f"/users/{user}/timeline")
    ask(f"/users/{user}/standing")
    ask("/status")


def plan(connection: Connection, statement: str, parameters: Any) -> str:
    """What the database would do; "" for what it cannot explain."""
    if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", statement):
        return ""
    if isinstance(parameters, tuple):
        raw: Any = connection.connection.dbapi_connection
        direct = RawCursor(raw).execute(f"EXPLAIN {statement}", parameters)
        return "\n".join(row[0] for row in direct)
    found = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters or None)
    return "\n".join(row[0] for row in found)


def rows_taken(node: dict[str, Any]) -> int:
    """Rows that an explained plan took in hand, kept or not, all of its nodes together."""
    mine = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return int(mine) + sum(rows_taken(inner) for inner in node.get("Plans", ()))


def scans_a_table(plan: str) -> bool:
    """A bare "is there any row" may look at the first one: a limit without a filter."""
    return bool(_SCAN.search(plan)) and not ("Limit" in plan and "Filter" not in plan)


def fill(database: Database) -> None:
    """Grow the tables; statistics as autovacuum would have them."""
    fill_ended(database, "c", ROWS)
    fill_people(database, "c", ROWS)
    with database.begin() as connection:
        for table, rows in FILL.items():
            statement = f"INSERT INTO {table} {rows} FROM generate_series(1, {ROWS}) AS i"
            connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"ANALYZE {table}")
        connection.commit()


def plans(database: Database, said: dict[str, Any], *, is_full: bool) -> dict[str, str]:
    """What the database would do for each; on small tables a scan is right, so it is forbidden."""
    with database.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.exec_driver_sql(f"SET LOCAL enable_seqscan = {'on' if is_full else 'off'}")
        return {s: plan(connection, s, p) for s, p in said.items()}


def without_index(database: Database, said: dict[str, Any]) -> list[str]:
    """Statements that scan a table that grows, with their plans: when empty, then when full."""
    scans: list[str] = []
    for is_full in (False, True):
        if is_full:
            fill(database)
        found = plans(database, said, is_full=is_full)
        scans += [f"{s}\n{p}" for s, p in found.items() if scans_a_table(p) and s != WHOLE]
    return scans


#: The breaker counts a connection's people (C6): it reads those of the account, and where nearly
#: all of the table are one account's, the planner may rightly read the table.
WHOLE = (
    "SELECT count(*) AS count_1 \nFROM people \nWHERE people.account_id = "
    "(SELECT connections.account_id \nFROM connections \nWHERE connections.id = %(id_1)s::VARCHAR) "
    "AND people.connection_id = %(connection_id_1)s::VARCHAR "
    "AND people.state IN (%(state_1_1)s::VARCHAR, %(state_1_2)s::VARCHAR)"
)


@pytest.mark.timeout(600)
def test_t30_lists_and_gauges_find_what_is_open_by_an_index(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "u9", "u9@forbidden.example")
        with overheard(rosterd) as said:
            asked(rosterd)
        assert sum("dead_letters" in statement for statement in said) >= 4
        assert without_index(rosterd.parts.database, said) == []
    rosterd.close()


@pytest.mark.timeout(600)
def test_d7_no_list_of_the_api_scans_a_table_that_grows(postgres_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        for key in ("u1", "u2"):
            rosterd.hire(feed, key)
        rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
        rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
        with overheard(rosterd) as said:
            listed(rosterd)
        assert len(said) > 15
        scans = without_index(rosterd.parts.database, said)
        assert not scans, "\n\n".join(scans)
    rosterd.close()


@pytest.mark.timeout(600)
def test_d7_no_list_for_operators_scans_a_table_that_grows(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        for key in ("u1", "u2"):
            rosterd.hire(feed, key)
        rosterd.hire(feed, "u9", "u9@forbidden.example")
        rosterd.tell(feed, "user.suspended", {"id": "u2"})
        with overheard(rosterd) as said:
            operated(rosterd, feed)
        assert len(said) > 40
        scans = without_index(rosterd.parts.database, said)
        assert not scans, "\n\n".join(scans)
    rosterd.close()


@pytest.mark.timeout(600)
def test_d7_no_statement_of_a_drain_scans_a_table_that_grows(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    database = rosterd.parts.database
    with rosterd.serving():
        feed = rosterd.account()
        with overheard(rosterd) as said:
            everything(rosterd, feed)
        assert len(said) > 25
        scans = without_index(database, said)
        assert not scans, "\n\n".join(scans)
    rosterd.close()


@pytest.mark.timeout(600)
def test_d7_no_statement_of_a_delivery_scans_a_table_that_grows(
    postgres_url: str, tmp_path: Path
) -> None:
    with receiver() as app, listening_on(postgres_url, tmp_path, app) as rosterd:
        feed = rosterd.begin()
        with overheard(rosterd) as said:
            for status in (204, 500, 400, 204):
                app.answers = lambda _told, status=status: status  # type: ignore[misc]
                rosterd.hire(feed, f"u{status}")
                rosterd.tell(feed, "user.suspended", {"id": f"u{status}"})
                rosterd.deliver()
                rosterd.parts.sweep.run()
            rosterd.parts.gauges.snapshot()
        assert sum("dispatches" in statement for statement in said) >= 8
        scans = without_index(rosterd.parts.database, said)
        assert not scans, "\n\n".join(scans)
