"""What operators do about mails: send again, revoke, word, look; and what they are told by mail."""

from __future__ import annotations

import email
import email.policy
import json
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Rosterd
from tests.mailserver import parts
from worker.adapters.db import alerts, mail_rows, rows
from worker.settings import SettingsError, load_settings


def letters(rosterd: Rosterd) -> list[EmailMessage]:
    """Send what is due; all mails so far, oldest first."""
    rosterd.mails()
    folder = Path(rosterd.settings.data_dir) / "mail"
    found = []
    for path in sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        found.append(message)
    return found


def person(rosterd: Rosterd) -> str:
    return str(rosterd.json("user", "list")[0]["id"])


def test_e6_a_revoked_invitation_is_dead_until_it_is_sent_again(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    link = rosterd.link("u1@example.com")
    who = person(rosterd)
    words = ("user", "revoke-invitation", who, "--reason", "wrong Ana")
    assert rosterd.cli(*words, "--dry-run").returncode == 0
    assert rosterd.http.get(link).status_code == 200, "a dry run does nothing"
    assert rosterd.answering("n", *words).returncode == 1, "not without a yes"
    done = rosterd.cli(*words, "--yes")
    assert done.returncode == 0, done.stderr
    assert rosterd.http.post(link).status_code == 410
    rosterd.hire(feed, "u1", given_name="Ana")
    assert len(letters(rosterd)) == 1, "what the provider repeats invites nobody again"
    assert rosterd.cli(*words, "--yes").returncode == 1
    story = rosterd.json("user", "show", who)
    assert [(one["state"], one["mails"][0]["state"]) for one in story["links"]] == [
        ("revoked", "sent")
    ]
    assert story["timeline"][-2]["reason"] == "wrong Ana"
    assert rosterd.cli("user", "resend", who, "--reason", "right Ana").returncode == 0
    assert rosterd.accept("u1@example.com") == 200


def test_e6_a_change_of_address_is_revoked_too_and_a_missing_person_is_3(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "new@example.com"})
    link = rosterd.link("new@example.com")
    words = ("--reason", "x", "--yes", "--json")
    done = rosterd.cli("user", "revoke-invitation", person(rosterd), *words)
    assert json.loads(done.stdout)["kind"] == "email_change"
    assert rosterd.http.post(link).status_code == 410
    assert rosterd.cli("user", "revoke-invitation", "usr_none", *words).returncode == 3


def test_e6_what_nobody_answers_expires_and_its_mail_is_not_sent(
    database_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(database_url, tmp_path, link_days=1e-9)
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "u1")
        rosterd.hire(feed, "u2")
        rosterd.parts.sweep.run()
        assert letters(rosterd) == [], "a mail that waited too long would carry a dead link"
        who = person(rosterd)
        story = rosterd.json("user", "show", who)
        assert story["state"] == "invited"
        assert story["links"][0]["state"] == "expired"
        assert story["links"][0]["mails"][0]["state"] == "cancelled"
        assert story["timeline"][-1]["action"] == "invitation.expired"
        assert "user resend" in story["timeline"][-1]["reason"]
        rosterd.parts.sweep.run()
        assert len(rosterd.json("user", "show", who)["timeline"]) == len(story["timeline"]), "once"
        done = rosterd.cli("user", "accept", who, "--reason", "she stands before me")
        assert done.returncode == 0, done.stderr
    rosterd.close()


def test_an_accounts_own_words_are_checked_saved_sent_and_reset(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    rosterd.account(name="beta")
    feed = rosterd.account()
    words, set_ = tmp_path / "words.txt", ("mail", "template", "set", "invitation")
    of_acme = ("--account", "acme", "--text", str(words), "--reason", "German")
    words.write_text("Guten Tag {{nam}},\n\nhier: {{link}}\n")
    refused = rosterd.cli(*set_, *of_acme, "--subject", "Willkommen bei {{company}}")
    assert refused.returncode == 2
    assert "{{nam}}" in refused.stderr
    assert "{{company}}" in refused.stderr, "every problem at once"
    words.write_text("Guten Tag {{name}},\n\n{{link}}\n")
    german = ("--subject", "Willkommen bei {{account}}", "--language", "de", "--button", "Los")
    assert rosterd.cli(*set_, *of_acme, *german, "--dry-run").returncode == 0
    assert not rosterd.json("mail", "template", "show", "invitation", "--account", "acme")["own"]
    rosterd.hire(feed, "u1", given_name="Ana")
    done = rosterd.cli(*set_, *of_acme, *german)
    assert done.returncode == 0, done.stderr
    (letter,) = letters(rosterd)
    assert letter["Subject"] == "Willkommen bei acme"
    plain, html = parts(letter)
    assert plain.startswith("Guten Tag Ana,")
    assert 'lang="de"' in html
    assert ">Los</a>" in html
    listed = rosterd.json("mail", "template", "list", "--account", "acme")
    assert {one["kind"]: one["own"] for one in listed} == {
        "invitation": True,
        "email_change": False,
        "email_change_note": False,
    }
    others = rosterd.json("mail", "template", "list", "--account", "beta")
    assert not any(one["own"] for one in others)
    audit = rosterd.table(rows.audit, rows.audit.c.action == "mail_template.set")
    assert [entry["reason"] for entry in audit] == ["German"]
    reset = ("mail", "template", "reset", "invitation", "--account", "acme", "--reason", "x")
    assert rosterd.cli(*reset, "--dry-run").returncode == 0
    assert rosterd.cli(*reset, "--yes").returncode == 0
    assert rosterd.cli(*reset, "--yes").returncode == 3
    assert rosterd.cli(*set_[:-1], "nonsense", *of_acme, "--subject", "x").returncode == 2
    assert rosterd.cli(*set_[:-1], "operator_alert", *of_acme, "--subject", "x").returncode == 2
    assert rosterd.cli(*set_, *of_acme[:3], str(tmp_path), "--reason", "x").returncode == 2


@pytest.mark.parametrize("kind", ["invitation", "email_change", "email_change_note"])
def test_a_preview_sends_nothing_and_is_what_would_be_sent(rosterd: Rosterd, kind: str) -> None:
    rosterd.account(name="Acme & Söhne")
    of = ("mail", "preview", kind, "--account", "Acme & Söhne")
    told = rosterd.json(*of)
    assert "Acme & Söhne" in told["subject"]
    assert "Acme &amp; Söhne" in told["html"]
    assert rosterd.cli(*of, "--html").stdout.startswith("<!doctype html>")
    assert rosterd.cli(*of).stdout.startswith("Subject: ")
    assert rosterd.cli(*of, "--html", "--text").returncode == 2
    assert rosterd.cli("mail", "preview", kind, "--account", "nobody").returncode == 3
    assert letters(rosterd) == []


def test_the_note_greets_the_old_address_and_has_nothing_to_press(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", display_name="Ana Silva")
    rosterd.accept("u1@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "new@example.com"})
    (note,) = [one for one in letters(rosterd)[1:] if one["To"] == "u1@example.com"]
    plain, html = parts(note)
    assert plain.startswith("Hello Ana Silva,")
    assert "http" not in plain
    assert "<a " not in html
    assert "new@example.com" not in plain + html


def test_reply_to_is_a_setting_and_a_bad_mailbox_is_refused_at_the_start(
    sqlite_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(sqlite_url, tmp_path, mail_reply_to="Help <help@example.org>")
    with rosterd.serving():
        rosterd.hire(rosterd.account(), "u1")
        (letter,) = letters(rosterd)
        assert letter["Reply-To"] == "Help <help@example.org>"
    rosterd.close()
    for wrong in ("nobody", "a@b.c\r\nBcc: x@y.z"):
        with pytest.raises(SettingsError, match="mailbox"):
            load_settings(data_dir=tmp_path, mail_reply_to=wrong)
    with pytest.raises(SettingsError, match="no network"):
        load_settings(data_dir=tmp_path, trusted_proxies="10.0.0.0/8, everybody")


def tell(rosterd: Rosterd, subject: str, **more: Any) -> None:
    with rosterd.parts.database.begin() as connection:
        alerts.tell_operators(
            connection,
            rosterd.now(),
            topic="breaker.tripped",
            subject=subject,
            headline=f"{subject} was stopped",
            details=("312 suspensions are held", "look: rosterd hold list"),
            **more,
        )
        connection.commit()


def told_operators(rosterd: Rosterd) -> list[tuple[str, str]]:
    rosterd.parts.sweep.run()
    return [(one["To"], one["Subject"]) for one in letters(rosterd)]


def pass_time(rosterd: Rosterd, column: Any) -> None:
    """As if what stands in the column were long ago."""
    with rosterd.parts.database.begin() as connection:
        table = column.table
        connection.execute(
            table.update().where(column.is_not(None)).values({column: rosterd.at(0)})
        )
        connection.commit()


def test_operators_are_told_once_of_each_thing_and_together_of_many(rosterd: Rosterd) -> None:
    rosterd.account()
    assert rosterd.cli("operator", "add", "ops@example.org", "--role", "operator").returncode == 0
    assert rosterd.cli("operator", "add", "looks@example.org", "--role", "viewer").returncode == 0
    for name in ("okta", "entra", "okta", "okta"):
        tell(rosterd, name)
    assert told_operators(rosterd) == [
        ("ops@example.org", "[rosterd] entra was stopped (and 1 more)")
    ]
    plain, html = parts(letters(rosterd)[0])
    assert "- okta was stopped (3 times)" in plain
    assert html.count("<li>") == 6
    tell(rosterd, "okta")
    tell(rosterd, "google")
    assert len(told_operators(rosterd)) == 1, "within the gap nothing that can wait is mailed"
    tell(rosterd, "keycloak", is_urgent=True)
    # Urgent takes along what waits; what was told an hour ago or less is not told again.
    assert told_operators(rosterd)[1:] == [
        ("ops@example.org", "[rosterd] google was stopped (and 1 more)")
    ]
    listed = {one["subject"]: one for one in rosterd.json("operator", "alerts")}
    assert set(listed) == {"okta", "entra", "google", "keycloak"}
    assert listed["okta"]["due_at"] is not None, "waits for its hour"
    pass_time(rosterd, mail_rows.alerts.c.told_at)
    pass_time(rosterd, mail_rows.alerts.c.due_at)
    assert told_operators(rosterd)[2:] == [("ops@example.org", "[rosterd] okta was stopped")]


def test_an_alert_of_a_transaction_that_was_undone_is_none_and_a_settled_one_is_over(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    rosterd.cli("operator", "add", "ops@example.org", "--role", "admin")
    with rosterd.parts.database.begin() as connection:
        alerts.tell_operators(connection, rosterd.now(), topic="t", subject="s", headline="no")
    assert told_operators(rosterd) == []
    tell(rosterd, feed.connection, account=rosterd.account_id)
    with rosterd.parts.database.begin() as connection:
        known = {"topic": "breaker.tripped", "subject": feed.connection}
        alerts.settle_alert(connection, account=rosterd.account_id, **known)
        connection.commit()
    assert told_operators(rosterd) == []
    tell(rosterd, feed.connection, account=rosterd.account_id)
    assert len(told_operators(rosterd)) == 1
    assert rosterd.json("operator", "alerts", "--account", "acme")[0]["subject"] == feed.connection
