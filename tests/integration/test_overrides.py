"""U9: an operator outranks the identity provider for a while, then its word counts by itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.command import Done
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.override_rows import overrides


@pytest.fixture
def ana(rosterd: Rosterd) -> Feed:
    """Ana is active."""
    feed = rosterd.account(owner="owner@example.com")
    rosterd.hire(feed, "ana")
    rosterd.accept("ana@example.com")
    return feed


def person(rosterd: Rosterd, key: str = "ana") -> str:
    (row,) = rosterd.table(rows.people, rows.people.c.user_key == key)
    return str(row["id"])


def outrank(rosterd: Rosterd, *words: str, who: str = "") -> Done:
    more = () if "--reason" in words else ("--reason", "on leave")
    return rosterd.cli("user", "override", who or person(rosterd), *words, *more)


def over(rosterd: Rosterd) -> None:
    """The time of all overrides is over, and a worker looks."""
    with rosterd.parts.database.begin() as connection:
        past = overrides.c.made_at
        connection.execute(update(overrides).values(until=past))
        connection.commit()
    rosterd.parts.sweep.run()


def state(rosterd: Rosterd, key: str | None = "ana") -> str:
    found = rosterd.user(key)
    assert found is not None
    return str(found["state"])


def former(rosterd: Rosterd) -> str:
    (line,) = [line for line in rosterd.users() if line["email"] == "ana@example.com"]
    return str(line["state"])


def test_u9_active_until_friday_outranks_a_suspension_then_it_counts(
    rosterd: Rosterd, ana: Feed
) -> None:
    mailed = len(rosterd.mails())
    assert outrank(rosterd, "active", "--until", "3d").returncode == 0
    rosterd.tell(ana, "user.suspended", {"id": "ana"}, id_="out")
    assert rosterd.outcome("out")[0] == "applied", "the fact is recorded meanwhile"
    assert state(rosterd) == "active"
    shown = json.loads(rosterd.cli("user", "show", person(rosterd), "--json").stdout)
    assert shown["state_without_override"] == "suspended"
    assert [one["wanted"] for one in shown["overrides"]] == ["active"]
    listed = json.loads(rosterd.cli("user", "overrides", "--account", "acme", "--json").stdout)
    assert [(one["person_id"], one["reason"]) for one in listed] == [(shown["id"], "on leave")]
    rosterd.parts.sweep.run()
    assert state(rosterd) == "active", "not before its time"
    over(rosterd)
    assert state(rosterd) == "suspended"
    assert len(rosterd.mails()) == mailed
    assert json.loads(rosterd.cli("user", "overrides", "--json").stdout) == []
    told = rosterd.table(rows.audit, rows.audit.c.action.startswith("user.override"))
    assert [(a["action"], a["reason"]) for a in sorted(told, key=lambda a: a["id"])] == [
        ("user.override", "on leave"),
        ("user.override_ended", "the override's time is over"),
    ]


def test_u9_suspended_for_a_while_outranks_a_reactivation(rosterd: Rosterd, ana: Feed) -> None:
    outrank(rosterd, "suspended", "--until", "8h")
    assert state(rosterd) == "suspended"
    rosterd.tell(ana, "user.suspended", {"id": "ana"})
    rosterd.tell(ana, "user.reactivated", {"id": "ana"})
    assert state(rosterd) == "suspended"
    done = outrank(rosterd, "--end", "--reason", "it was a mistake")
    assert done.returncode == 0, done.stderr
    assert state(rosterd) == "active"
    again = outrank(rosterd, "--end")
    assert again.returncode == 1
    assert "no override" in again.stderr


def test_u9_u4_an_invitation_dies_with_the_suspension_and_comes_anew(
    rosterd: Rosterd, ana: Feed
) -> None:
    rosterd.hire(ana, "ben")
    first = rosterd.link("ben@example.com")
    outrank(rosterd, "suspended", "--until", "8h", who=person(rosterd, "ben"))
    assert state(rosterd, "ben") == "invited_suspended"
    assert rosterd.http.post(first).status_code == 410
    over(rosterd)
    assert state(rosterd, "ben") == "invited"
    assert rosterd.accept("ben@example.com") == 200


def test_u9_accepting_meanwhile_is_kept(rosterd: Rosterd, ana: Feed) -> None:
    rosterd.hire(ana, "ben")
    rosterd.tell(ana, "user.suspended", {"id": "ben"})
    outrank(rosterd, "active", "--until", "8h", who=person(rosterd, "ben"))
    assert rosterd.accept("ben@example.com") == 200, "as U4: a fresh invitation"
    assert state(rosterd, "ben") == "active"
    over(rosterd)
    assert state(rosterd, "ben") == "suspended"
    rosterd.tell(ana, "user.reactivated", {"id": "ben"})
    assert state(rosterd, "ben") == "active"


def test_u9_e5_the_idps_state_counts_for_a_return_with_another_address(
    rosterd: Rosterd, ana: Feed
) -> None:
    outrank(rosterd, "active", "--until", "8h")
    rosterd.tell(ana, "user.suspended", {"id": "ana"})
    mailed = len(rosterd.mails())
    rosterd.tell(ana, "user.email_changed", {"id": "ana", "email": "new@example.com"})
    assert len(rosterd.mails()) == mailed, "E2 asks whether the IdP has her active"
    rosterd.tell(ana, "user.reactivated", {"id": "ana"})
    assert (state(rosterd), former(rosterd)) == ("invited", "active")
    over(rosterd)
    assert (state(rosterd), former(rosterd)) == ("invited", "suspended")


def test_u9_e8_who_waits_for_a_leavers_address_gets_it_under_an_override_too(
    rosterd: Rosterd, ana: Feed
) -> None:
    rosterd.tell(ana, "user.upserted", {"id": "new", "email": "ana@example.com"}, id_="waits")
    assert rosterd.outcome("waits")[0] == "waiting"
    outrank(rosterd, "active", "--until", "8h")
    rosterd.tell(ana, "user.suspended", {"id": "ana"})
    assert rosterd.outcome("waits")[0] == "applied"


def test_u9_u6_nobody_suspends_the_last_owner_or_break_glass(rosterd: Rosterd, ana: Feed) -> None:
    (owner,) = rosterd.table(rows.people, rows.people.c.role == "owner")
    refused = outrank(rosterd, "suspended", "--until", "8h", who=owner["id"])
    assert refused.returncode == 1
    assert "U6" in refused.stderr
    outrank(rosterd, "active", "--until", "8h")
    rosterd.tell(ana, "user.suspended", {"id": "ana"})
    glass = rosterd.cli("user", "break-glass", person(rosterd), "on", "--reason", "keeps the keys")
    assert glass.returncode == 0, glass.stderr
    over(rosterd)
    assert state(rosterd) == "active", "the end of an override suspends no protected person"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("active",), 2, "--until is needed"),
        (("gone", "--until", "8h"), 2, "active or suspended"),
        (("active", "--until", "soon"), 2, "is no time"),
        (("active", "--until", "2020-01-01T00:00Z"), 2, "is past"),
        (("active", "--until", "400d"), 2, "more than 90 days"),
        (("active", "--until", "8h", "--reason", " "), 2, "--reason"),
        (("--end", "--until", "8h"), 2, "--end takes"),
    ],
)
def test_u9_what_makes_no_sense_is_refused(
    rosterd: Rosterd, ana: Feed, words: tuple[str, ...], code: int, says: str
) -> None:
    done = outrank(rosterd, *words)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_u9_a_new_override_replaces_the_former(rosterd: Rosterd, ana: Feed) -> None:
    outrank(rosterd, "suspended", "--until", "8h")
    outrank(rosterd, "active", "--until", "8h")
    assert state(rosterd) == "active"
    ended = json.loads(rosterd.cli("user", "overrides", "--ended", "--json").stdout)
    assert sorted(one["ended_at"] is None for one in ended) == [False, True]
    rosterd.tell(ana, "user.suspended", {"id": "ana"})
    over(rosterd)
    assert state(rosterd) == "suspended"


def test_u9_two_workers_end_it_once(postgres_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        for number in range(5):
            rosterd.hire(feed, f"u{number}")
            who = person(rosterd, f"u{number}")
            outrank(rosterd, "suspended", "--until", "8h", who=who)
        with rosterd.parts.database.begin() as connection:
            connection.execute(update(overrides).values(until=overrides.c.made_at))
            connection.commit()
        store = rosterd.parts.overrides
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(lambda _n: store.end_due(), range(2)))
        assert sum(ended) == 5
        assert len(rosterd.table(rows.audit, rows.audit.c.action == "user.override_ended")) == 5
        links = rosterd.table(rows.links, rows.links.c.state == "open")
        assert len(links) == 5
    rosterd.close()


def test_u9_beside_a_suspension_neither_is_lost(postgres_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "ana")
        rosterd.accept("ana@example.com")
        who = person(rosterd)
        for _ in range(5):
            rosterd.tell(feed, "user.suspended", {"id": "ana"}, drain=False)
            with ThreadPoolExecutor(2) as pool:
                draining = pool.submit(rosterd.drain)
                begun = pool.submit(_begin, rosterd, who)
                draining.result()
                begun.result()
            assert state(rosterd) == "active"
            over(rosterd)
            assert state(rosterd) == "suspended"
            rosterd.tell(feed, "user.reactivated", {"id": "ana"})
            assert state(rosterd) == "active"
    rosterd.close()


def _begin(rosterd: Rosterd, who: str) -> Any:
    from domain.model import Override

    return rosterd.parts.overrides.begin(
        who,
        Override.ACTIVE,
        until=rosterd.at(3600) + timedelta(days=1),
        actor="test",
        reason="race",
    )
