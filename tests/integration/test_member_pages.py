"""The member's pages: links that do not work, answers that meet suspensions, who guesses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from domain.consequences import LinkKind
from domain.ports import InfrastructureError
from tests.harness import Rosterd
from tests.servers import await_true
from worker import telemetry
from worker.adapters.db import rows, uow
from worker.adapters.db.members import SQLMembers
from worker.adapters.networks import client_of, networks_of
from worker.web.app import build_web
from worker.web.buckets import Buckets

MADE_UP = "/invitations/" + "x" * 43


def person(rosterd: Rosterd, email: str) -> str:
    (found,) = [one["id"] for one in rosterd.json("user", "list") if one["email"] == email]
    return str(found)


def state(rosterd: Rosterd, key: str) -> str:
    user = rosterd.user(key)
    assert user is not None
    return str(user["state"])


def dead_links(rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A link of each kind that does not work, by why."""
    feed = rosterd.account()
    for key in ("used", "revoked", "replaced", "suspended", "old"):
        rosterd.hire(feed, key)
    links = {key: rosterd.link(f"{key}@example.com") for key in ("used", "revoked", "suspended")}
    links["replaced"] = rosterd.link("replaced@example.com")
    links["expired"] = rosterd.link("old@example.com")
    rosterd.http.post(links["used"])
    revoke = ("user", "revoke-invitation", person(rosterd, "revoked@example.com"))
    assert rosterd.cli(*revoke, "--reason", "x", "--yes").returncode == 0
    rosterd.tell(feed, "user.suspended", {"id": "suspended"})
    rosterd.hire(feed, "replaced", "other@example.com")
    with rosterd.parts.database.begin() as connection:
        table = rows.links
        past = rosterd.at(0)
        mine = table.c.address == "old@example.com"
        connection.execute(table.update().where(mine).values(expires_at=past))
        connection.commit()
    links["made up"] = MADE_UP
    links["of another kind"] = links["used"].replace("invitations", "email-changes")
    links["no token at all"] = "/invitations/%00%F0%9F%92%A9"
    return links


def test_e6_every_link_that_does_not_work_is_one_page(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = dead_links(rosterd, monkeypatch)
    # The press that accepted is long past.
    monkeypatch.setattr("worker.adapters.db.members.PRESSED_AGAIN", rosterd.at(0) - rosterd.at(0))
    told = {}
    for why, link in links.items():
        kind = link.split("/")[1]
        for method in ("GET", "POST"):
            answer = rosterd.http.request(method, link)
            headers = sorted(pair for pair in answer.headers.items())
            told[why, method] = (answer.status_code, answer.text, headers)
            assert answer.status_code == 410, (why, method)
            assert "example.com" not in answer.text
            assert "acme" not in answer.text
            assert kind not in answer.text
    assert len({repr(one) for one in told.values()}) == 1
    assert "ask your administrator" in told["made up", "GET"][1]


def test_e6_what_does_not_work_takes_one_look_at_the_database(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same time for all: the same statements, none of them waits for a lock."""
    links = dead_links(rosterd, monkeypatch)
    monkeypatch.setattr("worker.adapters.db.members.PRESSED_AGAIN", rosterd.at(0) - rosterd.at(0))
    asked: list[str] = []
    look = SQLMembers.look

    def watched(members: SQLMembers, token: str, kind: LinkKind) -> Any:
        asked.append("look")
        return look(members, token, kind)

    monkeypatch.setattr(SQLMembers, "look", watched)
    monkeypatch.setattr(SQLMembers, "answer", lambda *_: pytest.fail("nothing is written"))
    for link in links.values():
        asked.clear()
        rosterd.http.post(link)
        assert asked == ["look"]


def test_e6_looking_changes_nothing_however_often(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    link = rosterd.link("u1@example.com")
    before = (rosterd.export(), rosterd.table(rows.links), len(rosterd.table(rows.audit)))
    for method in ("GET", "HEAD", "GET"):
        assert rosterd.http.request(method, link).status_code == 200
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert rosterd.http.request(method, link).status_code == 405
    assert (rosterd.export(), rosterd.table(rows.links), len(rosterd.table(rows.audit))) == before


def test_e6_suspension_between_the_page_and_the_click(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    link = rosterd.link("u1@example.com")
    assert rosterd.http.get(link).status_code == 200
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    assert rosterd.http.post(link).status_code == 410
    assert state(rosterd, "u1") == "invited_suspended"


def waiting(rosterd: Rosterd) -> bool:
    """Whether a session of this database waits for a lock."""
    said = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with rosterd.parts.database.read() as connection:
        return bool(connection.execute(text(said)).scalar())


class Pause:
    """Stops a function before it does its work, until it is let go on."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __get__(self, instance: object, _owner: type) -> Callable[..., Any]:
        return partial(self, instance)

    def __call__(self, *words: Any, **more: Any) -> Any:
        self.reached.set()
        assert self.go_on.wait(30)
        return self._function(*words, **more)


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Work in a thread; its result once it has ended."""
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    yield done
    thread.join(30)
    assert done


def test_e6_acceptance_while_being_suspended(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suspension holds its locks and is about to commit when the member presses."""
    feed = on_postgres.account()
    on_postgres.hire(feed, "u1")
    link = on_postgres.link("u1@example.com")
    on_postgres.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    pause = Pause(uow.SQLWork.commit)
    monkeypatch.setattr(uow.SQLWork, "commit", pause)
    with beside(on_postgres.drain):
        assert pause.reached.wait(30)
        with beside(lambda: on_postgres.http.post(link).status_code) as pressed:
            await_true(lambda: waiting(on_postgres), name="the member's answer")
            pause.go_on.set()
        assert pressed == [410]
    assert state(on_postgres, "u1") == "invited_suspended"
    assert on_postgres.table(rows.decisions) == []


def test_e6_suspension_while_accepting(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer holds its locks when the suspension comes: both are in force."""
    feed = on_postgres.account()
    on_postgres.hire(feed, "u1")
    link = on_postgres.link("u1@example.com")
    on_postgres.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    pause = Pause(SQLMembers._accept)
    monkeypatch.setattr(SQLMembers, "_accept", pause)
    with beside(lambda: on_postgres.http.post(link).status_code) as pressed:
        assert pause.reached.wait(30)
        with beside(on_postgres.drain):
            await_true(lambda: waiting(on_postgres), name="the suspension")
            pause.go_on.set()
    assert pressed == [200]
    assert state(on_postgres, "u1") == "suspended", "and no longer invited_suspended"


@pytest.mark.parametrize("is_managed", [True, False])
def test_e6_two_acceptances_at_once_are_one(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch, is_managed: bool
) -> None:
    feed = on_postgres.account()
    if is_managed:
        on_postgres.hire(feed, "u1")
    else:
        add = ("user", "add", "u1@example.com", "--account", "acme")
        assert on_postgres.cli(*add).returncode == 0
    link = on_postgres.link("u1@example.com")
    pause = Pause(SQLMembers._accept)
    monkeypatch.setattr(SQLMembers, "_accept", pause)
    with (
        beside(lambda: on_postgres.http.post(link)) as first,
        beside(lambda: on_postgres.http.post(link)) as second,
    ):
        assert pause.reached.wait(30)
        await_true(lambda: waiting(on_postgres), name="the second press")
        pause.go_on.set()
    assert [first[0].status_code, second[0].status_code] == [200, 200]
    assert first[0].text == second[0].text, "who presses twice is told what the first press did"
    accepted = on_postgres.table(rows.audit, rows.audit.c.action == "user.accept_invitation")
    assert len(accepted) == 1
    assert len(on_postgres.table(rows.decisions)) == 1


def test_two_resends_at_once_leave_one_open_link(on_postgres: Rosterd) -> None:
    feed = on_postgres.account()
    on_postgres.hire(feed, "u1")
    who = person(on_postgres, "u1@example.com")
    resend = on_postgres.parts.members.resend
    with (
        beside(lambda: resend(who, actor="a", reason="x")),
        beside(lambda: resend(who, actor="b", reason="x")),
        beside(lambda: resend(who, actor="c", reason="x")),
    ):
        pass
    assert len(on_postgres.table(rows.links, rows.links.c.state == "open")) == 1


def test_who_is_often_wrong_waits_and_nobody_else_does(sqlite_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(
        sqlite_url, tmp_path, wrong_links_per_minute=5, trusted_proxies="loopback, 10.0.0.0/8"
    )
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "u1")
        link = rosterd.link("u1@example.com")
        http = TestClient(build_web(rosterd.parts), client=("127.0.0.1", 50_000))
        guesser = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9, 10.1.2.3"}
        before = counted("limited")
        for _ in range(5):
            assert http.get(MADE_UP, headers=guesser).status_code == 410
        for path in (MADE_UP, link):
            told = http.get(path, headers=guesser)
            assert told.status_code == 429
            assert 1 <= int(told.headers["Retry-After"]) <= 12
        assert counted("limited") == before + 2
        # What the guesser says of itself counts for nothing; only what the proxies add does.
        lying = {"X-Forwarded-For": "192.0.2.55, 203.0.113.9"}
        assert http.get(link, headers=lying).status_code == 429
        other = {"X-Forwarded-For": "203.0.113.10"}
        assert http.get(link, headers=other).status_code == 200
        assert http.post(link, headers=other).status_code == 200
        for _ in range(9):
            assert http.post(link, headers=other).status_code == 200, "right is never too often"
    rosterd.close()


def counted(result: str) -> float:
    return float(telemetry.MEMBER_PAGES.labels("invitation", result)._value.get())


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, 10.0.0.1", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("::1", "[2001:db8:1:2:3::4]:99", "2001:db8:1:2::/64"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:aaaa::1", "", "2001:db8:1:2::/64"),
        ("", "198.51.100.1", ""),
        ("testclient", "198.51.100.1", ""),
    ],
)
def test_a_client_is_whom_trusted_proxies_name(peer: str, forwarded: str, client: str) -> None:
    trusted = networks_of(["loopback", "10.0.0.0/8"])
    assert client_of(peer, forwarded, trusted) == client


def test_buckets_fill_up_again_and_forget_who_was_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    buckets = Buckets(size=2, per_second=0.5, clock=lambda: now[0])
    for _ in range(2):
        assert buckets.wait("a") == 0
        buckets.take("a")
    assert buckets.wait("a") == 2
    assert buckets.wait("b") == 0
    now[0] = 2.0
    assert buckets.wait("a") == 0
    monkeypatch.setattr("worker.web.buckets.REMEMBERED", 3)
    for name in "bcdef":
        buckets.take(name)
    assert len(buckets._levels) == 3


def test_a_database_that_is_away_says_later_and_charges_nobody(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise InfrastructureError("database is away")

    monkeypatch.setattr(SQLMembers, "look", away)
    told = rosterd.http.get(MADE_UP)
    assert told.status_code == 503
    assert told.headers["Retry-After"]
    assert "still works" in told.text
