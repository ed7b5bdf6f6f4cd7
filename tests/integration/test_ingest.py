"""G1: what is answered with 2xx is stored; what is hostile costs nobody anything (D9, F16-F22)."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import RefusedError
from domain.intake import Submission
from domain.ports import InfrastructureError, Request
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.engine import Database, KeptConnection
from worker.adapters.db.ingest import GroupCommitter, Stored
from worker.adapters.sources.registry import source_named
from worker.cli.sender import Sent
from worker.cli.signing import standard_headers
from worker.services.receive import receive

pytestmark = pytest.mark.every_database

UPSERT = b'{"type":"user.upserted","timestamp":"2026-01-01T00:00:00Z","data":%s}'
HOSTILE = {
    "not_json": b"this is no JSON",
    "empty": b"",
    "wrong_shape": b'{"type": 7}',
    "nul": UPSERT % b'{"id":"u\\u0000","email":"a@example.com"}',
    "surrogate": UPSERT % b'{"id":"\\ud800","email":"a@example.com"}',
    "nan": UPSERT % b'{"id":NaN}',
    "deep": b"[" * 5000 + b"]" * 5000,
    "long_number": b'{"type":' + b"9" * 5000 + b"}",
    "bom": b"\xef\xbb\xbf{}",
    "bad_address": UPSERT % b'{"id":"u","email":"nobody"}',
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_authentic_but_not_understood_is_stored_and_dead_with_the_place(
    rosterd: Rosterd, name: str
) -> None:
    feed = rosterd.account()
    assert rosterd.post(rosterd.signed(feed, HOSTILE[name], id_=name)) == 200
    rosterd.drain()
    (letter,) = rosterd.dead()
    assert letter["reason"] == "unparseable"
    assert letter["last_error"]
    rosterd.hire(feed, "u1")
    assert rosterd.user("u1") is not None, "the next one goes through"


def test_invalid_utf_8_is_stored_and_dead(rosterd: Rosterd) -> None:
    feed = rosterd.account("globex.example", source="okta", scope="everyone")
    sent = Sent(feed.path, {"authorization": feed.secret}, b'{"data": "\xff\xfe"}')
    assert rosterd.post(sent) == 200
    rosterd.drain()
    assert [letter["reason"] for letter in rosterd.dead()] == ["unparseable"]


def test_unknown_type_is_ignored(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    assert rosterd.tell(feed, "user.sneezed", {"id": "u1"}, id_="odd") == 200
    assert rosterd.outcome("odd") == ("ignored", "unknown_type")


def test_what_is_not_authentic_is_401_and_counted_without_a_row(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    good = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
    stale_at = datetime.now(UTC) - timedelta(minutes=6)
    stale = standard_headers(feed.secret, "old", stale_at, good.body)
    headers: dict[str, dict[str, str]] = {
        "missing": {},
        "wrong": {**good.headers, "webhook-signature": "v1," + "A" * 43 + "="},
        "garbage": {**good.headers, "webhook-signature": "garbage"},
        "stale": stale,
    }
    for sent in headers.values():
        assert rosterd.post(Sent(feed.path, sent, good.body)) == 401
    assert rosterd.post(Sent("/hooks/fed_nobody", good.headers, good.body)) == 401
    assert rosterd.events() == []
    assert rosterd.table(rows.deliveries) == []
    assert rosterd.post(good) == 200


def test_t17_fifty_copies_at_once_are_one_row_one_effect_fifty_successes(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    sent = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: rosterd.post(sent), range(50)))
    assert answers == [200] * 50
    assert len(rosterd.events()) == 1
    tally = rosterd.drain()
    assert tally["claimed"] == tally["applied"] == 1
    assert len(rosterd.mails()) == 1


def test_d12_same_id_with_other_bytes_is_kept_as_a_conflict_and_shown(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"}, id_="same")
    other = {"id": "u1", "email": "other@example.com"}
    assert rosterd.tell(feed, "user.upserted", other, id_="same", at=9) == 200
    assert rosterd.tell(feed, "user.upserted", other, id_="same", at=9) == 200
    assert [letter["reason"] for letter in rosterd.dead()] == ["conflict"]
    assert rosterd.user("u1")["email"] == "u1@example.com"  # type: ignore[index]


def test_t20_too_large_is_413_declared_chunked_or_compressed(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    limit = rosterd.settings.max_body_bytes
    big = b" " * (limit + 1)
    assert rosterd.post(Sent(feed.path, {}, big)) == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(limit // 65536 + 2):
            yield b" " * 65536

    assert rosterd.http.post(feed.path, content=chunks()).status_code == 413
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < limit
    headers = {"content-encoding": "gzip"}
    assert rosterd.http.post(feed.path, content=bomb, headers=headers).status_code == 413


def test_a_compressed_body_is_verified_unpacked(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    sent = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
    headers = {**sent.headers, "content-encoding": "gzip"}
    answer = rosterd.http.post(feed.path, content=gzip.compress(sent.body), headers=headers)
    assert answer.status_code == 200
    rosterd.drain()
    assert rosterd.user("u1") is not None


def test_t23_database_away_is_503_with_retry_after_never_a_false_2xx(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u0")

    def away(*_: Any, **__: Any) -> Any:
        raise InfrastructureError("database is away")

    sent = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", away)
        patch.setattr(KeptConnection, "begin", away)
        answer = rosterd.http.post(sent.url, content=sent.body, headers=dict(sent.headers))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert rosterd.post(sent) == 200
    rosterd.drain()
    assert rosterd.user("u1") is not None


def test_password_members_are_cut_before_the_commit(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    data = {"id": "u1", "email": "u1@example.com", "Password": "hunter2-marker"}
    rosterd.tell(feed, "user.upserted", data)
    (delivery,) = rosterd.table(rows.deliveries)
    body = rosterd.parts.vault.open(delivery["body"])
    assert b"hunter2-marker" not in body
    assert delivery["is_cut"]
    assert rosterd.user("u1") is not None


def test_d18_no_secret_and_no_body_lies_open_in_the_database(rosterd: Rosterd) -> None:
    okta = rosterd.account("globex.example", source="okta", scope="everyone")
    event = {
        "uuid": "e1",
        "published": rosterd.at(1).isoformat(),
        "eventType": "user.lifecycle.create",
        "outcome": {"result": "SUCCESS"},
        "target": [
            {
                "id": "u1",
                "type": "User",
                "alternateId": "u1@globex.example",
                "displayName": "marker-in-the-body-only-",
            }
        ],
        "detail": "body-marker",
    }
    body = json.dumps({"data": {"events": [event]}}).encode()
    headers = {"authorization": okta.secret, "cookie": "cookie-marker=1"}
    assert rosterd.post(Sent(okta.path, headers, body)) == 200
    rosterd.drain()
    assert rosterd.user("u1") is not None
    dump = b"".join(
        repr(list(row.values())).encode()
        for table in rows.metadata.sorted_tables
        for row in rosterd.table(table)
    )
    for marker in (okta.secret.encode(), b"cookie-marker", b"body-marker"):
        assert marker not in dump


def _submissions(rosterd: Rosterd, feed: Feed, count: int) -> list[Submission]:
    from worker.adapters.db.setup import feed_view

    with rosterd.parts.database.read() as connection:
        view = feed_view(connection, rosterd.parts.vault, feed.id)
    assert view is not None
    source = source_named("standard")
    found = []
    for i in range(count):
        sent = rosterd.request(feed, "user.suspended", {"id": f"u{i}"}, id_=f"m{i}")
        request = Request("POST", {k.lower(): v for k, v in sent.headers.items()}, sent.body)
        taken = receive(view, source, request, now=datetime.now(UTC))
        assert isinstance(taken, Submission)
        found.append(taken)
    return found


def test_d9_two_committers_with_the_same_events_in_opposite_order(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    work = _submissions(rosterd, feed, 200)
    answers: list[Stored | BaseException] = []
    done = threading.Semaphore(0)
    committers = []
    databases = [Database(rosterd.settings.database) for _ in range(2)]
    for database, submissions in zip(databases, (work, list(reversed(work))), strict=True):
        committer = GroupCommitter(
            database,
            rosterd.parts.vault,
            committed=lambda _events: None,
            report=lambda event, fields: pytest.fail(f"{event} {fields}"),
        )

        def answer(result: Stored | BaseException) -> None:
            answers.append(result)
            done.release()

        for submission in submissions:
            committer.submit(submission, answer)
        committers.append(committer)
    for committer in committers:
        committer.start()
    for _ in range(400):
        assert done.acquire(timeout=30)
    for committer in committers:
        committer.stop()
    for database in databases:
        database.dispose()
    assert [a for a in answers if not isinstance(a, Stored)] == []
    assert len(rosterd.events()) == 200
    assert sum(len(a.events) for a in answers if isinstance(a, Stored)) == 200


def test_c2_a_paused_connection_stores_and_holds_resuming_applies(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    with rosterd.setup() as use:
        use.set_connection_state(use.connection(feed.connection), "paused", reason="test")
    rosterd.hire(feed, "u1")
    assert [e["state"] for e in rosterd.events()] == ["held"]
    assert rosterd.users() == []
    with rosterd.setup() as use:
        use.set_connection_state(use.connection(feed.connection), "active", reason="test")
    rosterd.drain()
    assert rosterd.user("u1") is not None


def test_c2_a_paused_feed_holds_alone_and_a_retired_one_is_closed(rosterd: Rosterd) -> None:
    one = rosterd.account()
    with rosterd.setup() as use:
        secret = source_named("standard").new_secret()
        other_id = use.add_feed(
            rosterd.account_id, one.connection, source="standard", secret=secret
        )
    other = Feed(other_id, one.connection, secret)

    def state(feed: Feed, wanted: str) -> int:
        with rosterd.setup() as use:
            return use.set_feed_state(use.feed(feed.id), wanted, reason="test")

    state(other, "paused")
    rosterd.hire(other, "u1")
    rosterd.hire(one, "u2")
    assert [u["external_id"] for u in rosterd.users()] == ["u2"]
    with rosterd.setup() as use:
        found = use.connection(one.connection)
        assert use.set_connection_state(found, "paused", reason="test") == 0
        assert use.set_connection_state(found, "active", reason="test") == 0, "the feed holds it"
    assert state(other, "active") == 1
    rosterd.drain()
    assert len(rosterd.users()) == 2
    state(other, "retired")
    assert rosterd.tell(other, "user.suspended", {"id": "u1"}) == 401
    with pytest.raises(RefusedError, match="add a new one"):
        state(other, "active")


def test_c3_a_secret_counts_from_its_rotation_on_whatever_is_remembered(
    database_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(database_url, tmp_path, feed_cache_seconds=600)
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "u1")
        fresh = source_named("standard").new_secret()
        forged = Feed(feed.id, feed.connection, fresh)
        assert rosterd.tell(forged, "user.upserted", {"id": "u2"}) == 401
        with rosterd.setup() as use:
            use.rotate_secret(
                rosterd.account_id, feed.id, fresh, old_until=use.now + timedelta(hours=1)
            )
        rosterd.hire(forged, "u2")
        assert rosterd.user("u2"), "a 401 would have been the end of it"
    rosterd.close()


def test_c3_a_rotated_secret_overlaps_then_dies(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    fresh = source_named("standard").new_secret()
    with rosterd.setup() as use:
        use.rotate_secret(
            rosterd.account_id, feed.id, fresh, old_until=use.now + timedelta(hours=1)
        )
    rotated = Feed(feed.id, feed.connection, fresh)
    data = {"id": "u1", "email": "u1@example.com"}
    assert rosterd.tell(feed, "user.upserted", data) == 200
    assert rosterd.tell(rotated, "user.upserted", data) == 200
    with rosterd.setup() as use:
        use.rotate_secret(rosterd.account_id, feed.id, fresh, old_until=use.now)
        use.rotate_secret(rosterd.account_id, feed.id, fresh, old_until=use.now)
    with rosterd.parts.database.begin() as connection:
        table = rows.feed_secrets
        past = datetime.now(UTC) - timedelta(hours=2)
        connection.execute(
            table.update().where(table.c.expires_at.is_not(None)).values(expires_at=past)
        )
        connection.commit()
    assert rosterd.tell(feed, "user.upserted", data) == 401
