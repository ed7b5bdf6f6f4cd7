"""G8: replay is frozen, planned, rated, reasoned, audited; twice is once."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import NothingFoundError, UsageError
from domain.replays import Selection, parse_rate
from tests.harness import Rosterd
from worker import telemetry
from worker.adapters.db import rows
from worker.adapters.db.minute_rows import minutes
from worker.adapters.db.replay_rows import replays


def refused(rosterd: Rosterd) -> Selection:
    feed = rosterd.account()
    for i in range(3):
        rosterd.hire(feed, f"u{i}", f"u{i}@partner.example")
    assert len(rosterd.dead()) == 3
    return Selection(account=rosterd.account_id, reason="domain_not_allowed")


def everything(rosterd: Rosterd) -> dict[str, Any]:
    """All tables; how much came when, the web process writes down when it gets to it."""
    tables = [t for t in rows.metadata.sorted_tables if t not in (rows.receipts, minutes)]
    return {t.name: sorted(map(repr, rosterd.table(t))) for t in tables}


def test_g8_dry_run_decides_for_real_and_changes_nothing(rosterd: Rosterd) -> None:
    selection = refused(rosterd)
    replay = rosterd.parts.replay
    assert {p.result.outcome for p in replay.predict(selection)} == {"dead"}
    rosterd.allow("partner.example")
    before = everything(rosterd)
    plan = replay.predict(selection)
    assert {p.result.outcome for p in plan} == {"applied"}
    assert {e.after.email for p in plan for e in p.effects} == {
        f"u{i}@partner.example" for i in range(3)
    }
    assert everything(rosterd) == before


def test_g8_replay_applies_leaves_an_audit_row_and_twice_is_once(rosterd: Rosterd) -> None:
    selection = refused(rosterd)
    rosterd.allow("partner.example")
    started = rosterd.parts.replay.start(selection, actor="eve", reason="partner is allowed")
    assert {e["lane"] for e in rosterd.events()} == {"bulk"}
    rosterd.drain()
    assert len(rosterd.users()) == 3
    assert rosterd.dead() == []
    audit = rosterd.table(rows.audit, rows.audit.c.action == "dead.replay")
    assert [(a["actor"], a["reason"], a["subject"]) for a in audit] == [
        ("eve", "partner is allowed", started.id)
    ]
    mails = len(rosterd.mails())
    with pytest.raises(NothingFoundError):
        rosterd.parts.replay.start(selection, actor="eve", reason="again")
    assert len(rosterd.mails()) == mails == 3


def test_t35_a_replayed_old_fact_resurrects_nobody(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    data = {"id": "u1", "email": "u1@partner.example", "active": True}
    rosterd.tell(feed, "user.upserted", data, at=1, id_="create")
    rosterd.allow("partner.example")
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, at=2)
    rosterd.parts.replay.start(Selection(account=rosterd.account_id), actor="eve", reason="r")
    rosterd.drain()
    assert rosterd.user("u1")["state"] == "invited_suspended"  # type: ignore[index]
    assert rosterd.mails() == []


def test_t34_the_rate_is_kept_by_rows_not_by_sleeping(rosterd: Rosterd) -> None:
    selection = refused(rosterd)
    started = rosterd.parts.replay.start(selection, actor="eve", reason="slowly", rate="1/m")
    assert [e["state"] for e in rosterd.events()] == ["pending", "dead", "dead"]
    rosterd.drain()
    assert sum(e["replay_id"] == started.id for e in rosterd.events()) == 1
    with rosterd.parts.database.begin() as connection:
        connection.execute(replays.update().values(paced_at=rosterd.now() - timedelta(minutes=1)))
        connection.commit()
    rosterd.drain()
    assert sum(e["replay_id"] == started.id for e in rosterd.events()) == 2


def test_an_empty_selection_is_refused_and_nothing_matched_is_said(rosterd: Rosterd) -> None:
    rosterd.account()
    with pytest.raises(UsageError):
        rosterd.parts.replay.start(Selection(), actor="eve", reason="all")
    with pytest.raises(NothingFoundError):
        rosterd.parts.replay.start(Selection(reason="conflict"), actor="eve", reason="none")


@pytest.mark.parametrize(("text", "seconds"), [("20/s", 0.05), ("20", 0.05), ("600/m", 0.1)])
def test_rates(text: str, seconds: float) -> None:
    assert parse_rate(text).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["fast", "0/s", "-1", "1/y", "0.5/h", "0." + "0" * 300 + "1/s"])
def test_bad_rates(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rate(text)


def cli(monkeypatch: pytest.MonkeyPatch, rosterd: Rosterd, *words: str) -> int:
    """The command as a user runs it; its exit code."""
    from worker.cli import main, session

    session.container.cache_clear()
    monkeypatch.setenv("ROSTERD_DATA_DIR", str(rosterd.settings.data_dir))
    monkeypatch.setenv("ROSTERD_DATABASE_URL", rosterd.settings.database)
    monkeypatch.setenv("ROSTERD_BROKER_URL", rosterd.settings.broker)
    monkeypatch.setattr(sys, "argv", ["rosterd", *words])
    with pytest.raises(SystemExit) as ended:
        main.main()
    session.container().close()
    return int(ended.value.code or 0)


def test_the_command_line_of_dead_letters(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(rosterd)
    letter = str(rosterd.dead()[0]["event_id"])
    assert cli(monkeypatch, rosterd, "dead", "list", "--json") == 0
    assert "domain_not_allowed" in capsys.readouterr().out
    assert cli(monkeypatch, rosterd, "dead", "groups") == 0
    assert cli(monkeypatch, rosterd, "dead", "show", letter) == 0
    assert cli(monkeypatch, rosterd, "event", "show", letter, "--body", "--json") == 0
    assert "partner.example" in capsys.readouterr().out
    assert cli(monkeypatch, rosterd, "dead", "replay", "--dry-run", letter) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert cli(monkeypatch, rosterd, "dead", "replay", letter) == 2, "a reason is needed"
    assert cli(monkeypatch, rosterd, "dead", "replay", "--reason", "x") == 2, "empty filter"
    assert cli(monkeypatch, rosterd, "dead", "replay", "--reason", "x", "9999999") == 3
    assert cli(monkeypatch, rosterd, "dead", "discard", letter, "--reason", "spam", "--yes") == 0
    assert len(rosterd.dead()) == 2
    assert cli(monkeypatch, rosterd, "dead", "restore", letter, "--reason", "sorry") == 0
    assert len(rosterd.dead()) == 3
    assert cli(monkeypatch, rosterd, "event", "list", "--state", "dead", "--json") == 0


def test_the_command_line_of_an_account(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def run(*words: str) -> int:
        return cli(monkeypatch, rosterd, *words)

    assert run("account", "add", "acme", "--domain", "example.com", "--owner", "o@example.com") == 0
    assert run("account", "add", "acme") == 2
    assert run("account", "show", "nobody") == 3
    assert run("domain", "allow", "acme", "not a domain") == 2
    assert run("connection", "add", "--account", "acme", "--source", "okta") == 2
    assert (
        run("connection", "add", "--account", "acme", "--source", "standard", "--set", "x=1") == 2
    )
    capsys.readouterr()
    assert run("connection", "add", "--account", "acme", "--source", "standard", "--json") == 0
    made = capsys.readouterr().out
    for key in ("id", "feed", "hook_url", "scim_url", "signing_secret", "bearer_token"):
        assert f'"{key}"' in made
    assert run("user", "list", "--account", "acme", "--json") == 0
    assert '"o@example.com"' in capsys.readouterr().out
    assert run("directory", "export", "--account", "acme") == 0
    assert run("status", "--json") == 0
    assert run("doctor", "--json") == 0


def test_a_missing_database_is_exit_code_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rosterd = Rosterd("postgresql+psycopg://nobody@127.0.0.1:1/none", tmp_path)
    assert cli(monkeypatch, rosterd, "account", "list") == 4


def test_what_a_hold_lets_go_is_no_replay_and_not_counted_as_one(rosterd: Rosterd) -> None:
    feed = rosterd.account(breaker_min="1", breaker_percent="0")
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key)
    for key in ("u1", "u2", "u3"):
        rosterd.tell(feed, "user.suspended", {"id": key})
    (hold,) = rosterd.json("hold", "list")
    name, applied = "rosterd_replay_events_total", {"result": "applied"}
    before = telemetry.REGISTRY.get_sample_value(name, applied)
    rosterd.cli("hold", "approve", hold["id"], "--reason", "they left", "--yes")
    rosterd.drain()
    assert [user["state"] for user in rosterd.users()] == ["invited_suspended"] * 3
    assert telemetry.REGISTRY.get_sample_value(name, applied) == before


def test_g8_replayed_events_are_counted_by_result(rosterd: Rosterd) -> None:
    def counted(result: str) -> float:
        name = "rosterd_replay_events_total"
        return telemetry.REGISTRY.get_sample_value(name, {"result": result}) or 0.0

    feed = rosterd.account()
    rosterd.hire(feed, "u1", "u1@other.example")
    rosterd.hire(feed, "u2", "u2@strange.example")
    assert len(rosterd.dead()) == 2
    rosterd.allow("other.example")
    before = counted("applied"), counted("dead")
    words = [
        "dead",
        "replay",
        "--account",
        "acme",
        "--reason",
        "the domain is allowed",
        "--wait",
        "0",
    ]
    done = rosterd.cli(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    rosterd.drain()
    assert (counted("applied"), counted("dead")) == (before[0] + 1, before[1] + 1)
