"""Operators are told of what stands: when it begins, while it lasts, and when it is over (C5)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from tests.harness import Feed, Rosterd
from tests.integration.test_mails import letters
from tests.mailserver import parts
from tests.receiver import Receiver, receiver
from worker.adapters.db import rows
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.watching import CALM, EVERY
from worker.settings import SettingsError, load_settings

OPS = "ops@example.org"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def changed(rosterd: Rosterd, *statements: Any) -> None:
    with rosterd.parts.database.begin() as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def look(rosterd: Rosterd) -> list[str]:
    """What a sweep does when it is time to look; the subjects of all mails so far."""
    changed(rosterd, delete(rows.marks).where(rows.marks.c.name == "watched"))
    rosterd.parts.gauges._known = None
    rosterd.parts.sweep.run()
    # Alerts are put into the outbox by a sweep, and looked for after it.
    rosterd.parts.sweep.run()
    return [str(one["Subject"]).strip() for one in letters(rosterd)]


def later(rosterd: Rosterd, by: timedelta) -> None:
    """As if whatever was told had been told that much earlier."""
    columns = [alerts.c.first_at, alerts.c.last_at, alerts.c.told_at]
    moved = {column: _earlier(rosterd, column, by) for column in columns}
    for column, times in moved.items():
        for id_, at in times.items():
            changed(rosterd, update(alerts).where(alerts.c.id == id_).values({column: at}))


def _earlier(rosterd: Rosterd, column: Any, by: timedelta) -> dict[str, Any]:
    found = rosterd.table(alerts)
    return {row["id"]: row[column.name] - by for row in found if row[column.name] is not None}


def told_of(rosterd: Rosterd) -> dict[str, dict[str, Any]]:
    return {one["topic"]: one for one in rosterd.json("operator", "alerts")}


def late_suspension(rosterd: Rosterd, feed: Feed) -> None:
    """A suspension that came three minutes ago and that no worker has applied."""
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    then = rosterd.now() - timedelta(minutes=3)
    changed(rosterd, update(rows.events).values(received_at=then))


@pytest.fixture
def staffed(rosterd: Rosterd) -> Feed:
    """An account, and somebody who is told."""
    feed = rosterd.account()
    rosterd.operator(OPS, "operator")
    rosterd.operator("looks@example.org", "viewer")
    return feed


def test_c5_a_suspension_that_waits_is_told_once_reminded_of_and_cleared(
    rosterd: Rosterd, staffed: Feed
) -> None:
    rosterd.hire(staffed, "u1")
    before = len(look(rosterd))
    late_suspension(rosterd, staffed)
    (told,) = look(rosterd)[before:]
    assert told == "[rosterd] acme: a suspension of standard waits to be applied"
    for _ in range(3):
        assert len(look(rosterd)) == before + 1, "it is one thing however often it is seen"
    later(rosterd, timedelta(minutes=59))
    assert len(look(rosterd)) == before + 1
    later(rosterd, timedelta(minutes=2))
    assert look(rosterd)[before + 1 :] == [told], "an hour later it still stands"
    rosterd.drain()
    assert len(look(rosterd)) == before + 2, "perhaps it comes back"
    later(rosterd, CALM)
    assert look(rosterd)[before + 2 :] == [
        "[rosterd] all clear: acme: a suspension of standard waits to be applied"
    ]
    later(rosterd, timedelta(hours=2))
    look(rosterd)
    assert len(look(rosterd)) == before + 3, "it is over once"
    assert set(told_of(rosterd)) == {"suspension.waits.over"}
    later(rosterd, timedelta(days=2))
    look(rosterd)
    assert told_of(rosterd) == {}


def test_what_comes_and_goes_is_one_alert(rosterd: Rosterd, staffed: Feed) -> None:
    rosterd.hire(staffed, "u1")
    before = len(look(rosterd))
    for _ in range(4):
        late_suspension(rosterd, staffed)
        look(rosterd)
        rosterd.drain()
        rosterd.hire(staffed, "u1")
        look(rosterd)
        later(rosterd, CALM / 2)
    assert len(look(rosterd)) == before + 1


def test_what_is_back_is_listed_as_standing_and_not_as_over(
    rosterd: Rosterd, staffed: Feed
) -> None:
    then = rosterd.now() - timedelta(days=4)
    changed(rosterd, update(rows.feeds).values(last_heard_at=then, created_at=then))
    look(rosterd)
    changed(rosterd, update(rows.feeds).values(last_heard_at=rosterd.now()))
    later(rosterd, CALM)
    look(rosterd)
    assert set(told_of(rosterd)) == {"feed.silent.over"}
    changed(rosterd, update(rows.feeds).values(last_heard_at=then))
    look(rosterd)
    assert set(told_of(rosterd)) == {"feed.silent"}


def test_dead_letters_that_grow_are_told_with_their_causes(rosterd: Rosterd, staffed: Feed) -> None:
    acme = rosterd.account_id
    for number in range(19):
        rosterd.hire(staffed, f"u{number}", f"u{number}@elsewhere.example")
    assert not [one for one in look(rosterd) if "died" in one]
    rosterd.hire(staffed, "last", "last@elsewhere.example")
    other = rosterd.account("example.org", name="other")
    rosterd.hire(other, "o1", "o1@elsewhere.example")
    (told,) = [one for one in look(rosterd) if "died" in one]
    assert told == "[rosterd] acme: 20 events died within an hour, most of them domain_not_allowed"
    plain, _ = parts(letters(rosterd)[-1])
    assert "20 x domain_not_allowed" in plain
    assert "rosterd dead groups" in plain
    assert told_of(rosterd)["dead.growth"]["account_id"] == acme


def test_an_account_of_the_file_is_not_growing_for_what_died_long_ago(
    rosterd: Rosterd, staffed: Feed
) -> None:
    for number in range(25):
        rosterd.hire(staffed, f"u{number}", f"u{number}@elsewhere.example")
    then = rosterd.now() - timedelta(hours=2)
    changed(rosterd, update(rows.dead_letters).values(first_at=then, last_at=then))
    assert not [one for one in look(rosterd) if "died" in one]


def test_c3_a_credential_that_ends_is_told_two_weeks_ahead_and_urgently_at_last(
    rosterd: Rosterd, staffed: Feed
) -> None:
    with rosterd.setup() as use:
        owner = use.account("acme")["id"]
        ends = use.now + timedelta(days=20)
        use.add_token(owner, name="the app's", scopes=["directory:read"], expires_at=ends)

    def ending(days: float) -> list[str]:
        at = rosterd.now() + timedelta(days=days)
        mine = rows.tokens.c.name == "the app's"
        changed(rosterd, update(rows.tokens).where(mine).values(expires_at=at))
        return [one for one in look(rosterd) if "the app's" in one]

    assert ending(20) == []
    (told,) = ending(13)
    assert told.startswith("[rosterd] token the app's ends on ")
    later(rosterd, timedelta(days=3))
    assert len(ending(10)) == 1, "told once a week"
    later(rosterd, timedelta(minutes=6))
    assert len(ending(1)) == 2, "at last it is urgent"
    later(rosterd, timedelta(days=8))
    assert ending(-1)[-1].startswith("[rosterd] token the app's ended on ")
    ids = {one["name"]: one["id"] for one in rosterd.json("token", "list")}
    done = rosterd.cli("token", "revoke", ids["the app's"], "--reason", "replaced")
    assert done.returncode == 0, done.stderr
    look(rosterd)
    later(rosterd, CALM)
    assert any("all clear" in one for one in look(rosterd))


def test_c4_an_accounts_operators_are_told_of_their_own(rosterd: Rosterd, staffed: Feed) -> None:
    acme = rosterd.account_id
    rosterd.account("example.org", name="other")
    rosterd.operator("of@acme.example", "operator", account=acme)
    rosterd.operator("of@other.example", "operator", account=rosterd.account_id)
    then = rosterd.now() - timedelta(days=4)
    mine = rows.feeds.c.id == staffed.id
    changed(rosterd, update(rows.feeds).where(mine).values(last_heard_at=then, created_at=then))
    look(rosterd)
    assert {str(one["To"]) for one in letters(rosterd)} == {OPS, "of@acme.example"}


def test_it_is_looked_at_by_all_processes_together_every_half_minute(
    rosterd: Rosterd, staffed: Feed
) -> None:
    look(rosterd)
    (mark,) = rosterd.table(rows.marks, rows.marks.c.name == "watched")
    rosterd.parts.operators.watch.run()
    assert rosterd.table(rows.marks, rows.marks.c.name == "watched") == [mark]
    then = rosterd.now() - EVERY
    changed(rosterd, update(rows.marks).where(rows.marks.c.name == "watched").values(at=then))
    rosterd.parts.operators.watch.run()
    assert rosterd.table(rows.marks, rows.marks.c.name == "watched") != [mark]


# -- the hook ---------------------------------------------------------------------------------


@pytest.fixture
def hooked(database_url: str, tmp_path: Path) -> Iterator[tuple[Rosterd, Receiver]]:
    with receiver() as listener:
        rosterd = Rosterd(
            database_url,
            tmp_path,
            outbound_allow="127.0.0.1",
            alert_webhook_url=listener.url,
            alert_webhook_secret=SECRET,
        )
        with rosterd.serving():
            yield rosterd, listener
        rosterd.close()


def test_a_program_hears_of_alerts_signed_and_grouped(hooked: tuple[Rosterd, Receiver]) -> None:
    rosterd, listener = hooked
    feed = rosterd.account()
    other = rosterd.feed(feed)
    then = rosterd.now() - timedelta(days=4)
    changed(rosterd, update(rows.feeds).values(last_heard_at=then, created_at=then))
    assert look(rosterd) == [], "nobody is mailed where nobody is an operator"
    (told,) = listener.told
    document = told.verified_by(SECRET)
    assert document["type"] == "operator.alert"
    assert document["data"]["account"] == "acme"
    assert document["data"]["headline"].endswith("(and 1 more)")
    text = "\n".join(document["data"]["details"])
    assert feed.id in text
    assert other.id in text
    look(rosterd)
    assert len(listener.told) == 1


def test_a_hook_that_fails_is_tried_again_with_the_same_id(
    hooked: tuple[Rosterd, Receiver],
) -> None:
    rosterd, listener = hooked
    rosterd.account()
    rosterd.operator(OPS, "operator")
    then = rosterd.now() - timedelta(days=4)
    changed(rosterd, update(rows.feeds).values(last_heard_at=then, created_at=then))
    listener.answers = lambda _told: 500
    assert len(look(rosterd)) == 1, "mails do not wait for it"
    listener.answers = lambda _told: 204
    waiting = rows.notices.c.address == listener.url
    (row,) = rosterd.table(rows.notices, waiting)
    assert (row["state"], row["last_error"]) == ("pending", "the alert hook answered 500")
    changed(rosterd, update(rows.notices).where(waiting).values(due_at=rosterd.now()))
    look(rosterd)
    assert [one.id for one in listener.told] == [row["id"]] * 2
    assert {one["state"] for one in rosterd.table(rows.notices)} == {"sent"}


def test_half_a_hook_and_a_weak_secret_are_refused_at_the_start(tmp_path: Path) -> None:
    for given in (
        {"alert_webhook_url": "https://hooks.example.com/x"},
        {"alert_webhook_secret": SECRET},
    ):
        with pytest.raises(SettingsError, match="go together"):
            load_settings(data_dir=tmp_path, **given)
    for weak in ("whsec_c2hvcnQ=", "no base64 at all!", "whsec_"):
        with pytest.raises(SettingsError) as refused:
            load_settings(
                data_dir=tmp_path,
                alert_webhook_url="https://hooks.example.com/x",
                alert_webhook_secret=weak,
            )
        assert "WEBHOOK_SECRET" in str(refused.value)
        assert weak.removeprefix("whsec_") not in str(refused.value) or weak == "whsec_"
