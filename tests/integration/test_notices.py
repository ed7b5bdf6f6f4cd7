"""Mails of members under attack: two senders, late senders, dead senders, bad and mute servers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.letters import Letter
from domain.notices import MailError
from tests.harness import Rosterd
from tests.mailserver import MailServer, mail_server, parts, self_signed
from worker.adapters import mail_connection
from worker.adapters.db import rows
from worker.adapters.db.notices import SQLOutbox
from worker.adapters.mail import SMTPMailer
from worker.services.notify import Notify

HOUR = timedelta(hours=1)


@pytest.fixture
def smtp() -> Iterator[tuple[MailServer, str]]:
    """A real mail server on a port of its own."""
    with mail_server() as found:
        yield found


def notify(rosterd: Rosterd, url: str) -> Notify:
    mailer = SMTPMailer(url, sender="rosterd <rosterd@example.org>")
    # Waits are drawn up to a bound: here they are the bound, longer than a slow machine takes.
    return replace(rosterd.parts.notify, mailer=mailer, random=lambda: 1.0)


def outbox(rosterd: Rosterd) -> SQLOutbox:
    return SQLOutbox(rosterd.parts.database, rosterd.parts.vault)


def invited(rosterd: Rosterd, *names: str) -> None:
    feed = rosterd.account()
    for name in names:
        rosterd.hire(feed, name)


def notices(rosterd: Rosterd) -> list[dict[str, Any]]:
    return sorted(rosterd.table(rows.notices), key=lambda row: str(row["address"]))


def let_leases_end(rosterd: Rosterd) -> None:
    with rosterd.parts.database.begin() as connection:
        table = rows.notices
        past = rosterd.at(0)
        connection.execute(table.update().where(table.c.due_at.is_not(None)).values(due_at=past))
        connection.commit()


def test_e6_the_mail_arrives_over_smtp_and_its_link_works(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    inbox, url = smtp
    invited(rosterd, "u1")
    assert notify(rosterd, url).run()["sent"] == 1
    ((to, message),) = inbox.taken
    assert to == message["To"] == "u1@example.com"
    assert message["From"] == "rosterd <rosterd@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    (sent,) = notices(rosterd)
    assert message["Message-ID"] == f"<{sent['id']}@example.org>"
    assert sent["secret"] is None, "who has been sent a link is the only one who knows it"
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    plain, html = parts(message)
    path = plain.partition("/invitations/")[2].split()[0]
    assert f'href="http://127.0.0.1:8080/invitations/{path}"' in html
    assert rosterd.http.post(f"/invitations/{path}").status_code == 200


def test_two_senders_at_once_send_each_mail_once(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    inbox, url = smtp
    invited(rosterd, *(f"u{i}" for i in range(30)))
    senders = [threading.Thread(target=notify(rosterd, url).run) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(to for to, _ in inbox.taken) == sorted(f"u{i}@example.com" for i in range(30))


def test_e7_what_the_server_refuses_for_good_is_failed_and_visible(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    inbox, url = smtp
    invited(rosterd, "gone", "later", "u1")
    assert notify(rosterd, url).run() == {"sent": 1, "retrying": 1, "failed": 1, "lease_lost": 0}
    gone, later, sent = notices(rosterd)
    assert (gone["state"], later["state"], sent["state"]) == ("failed", "pending", "sent")
    assert "550" in gone["last_error"]
    assert "451" in later["last_error"]
    assert later["due_at"] is not None
    assert [to for to, _ in inbox.taken] == ["u1@example.com"]


def test_a_server_out_of_reach_costs_a_wait_then_the_mail_goes_out_under_the_same_id(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    inbox, url = smtp
    invited(rosterd, "u1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    assert notify(rosterd, f"smtp://127.0.0.1:{nobody}").run()["retrying"] == 1
    assert notify(rosterd, url).run()["sent"] == 0, "not before its wait is over"
    let_leases_end(rosterd)
    assert notify(rosterd, url).run()["sent"] == 1
    (row,) = notices(rosterd)
    assert inbox.taken[0][1]["Message-ID"] == f"<{row['id']}@example.org>"
    assert row["attempts"] == 2


@contextmanager
def mute_server() -> Iterator[str]:
    """Takes the connection, never greets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_greets_is_given_up_by_a_time_out(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_connection, "TIMEOUT_SECONDS", 0.3)
    invited(rosterd, "u1")
    with mute_server() as url:
        assert notify(rosterd, url).run()["retrying"] == 1
    assert "out of reach" in notices(rosterd)[0]["last_error"]


def test_a_sender_that_died_leaves_the_mail_to_the_next_after_its_lease(rosterd: Rosterd) -> None:
    invited(rosterd, "u1")
    assert len(outbox(rosterd).claim(limit=10, lease=HOUR)) == 1
    assert outbox(rosterd).claim(limit=10, lease=HOUR) == [], "leased"
    let_leases_end(rosterd)
    (again,) = outbox(rosterd).claim(limit=10, lease=HOUR)
    assert again.fence == 2


def test_a_sender_back_after_its_lease_cannot_finish_what_another_holds(rosterd: Rosterd) -> None:
    invited(rosterd, "u1")
    (late,) = outbox(rosterd).claim(limit=10, lease=HOUR)
    let_leases_end(rosterd)
    (now,) = outbox(rosterd).claim(limit=10, lease=HOUR)
    assert not outbox(rosterd).sent([late])
    assert not outbox(rosterd).failed(late, "why", None, is_refused=True)
    assert notices(rosterd)[0]["state"] == "pending"
    assert outbox(rosterd).sent([late, now]) == {now.id}
    assert not outbox(rosterd).sent([now]), "once"


def test_a_link_that_is_no_longer_meant_is_not_mailed(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    inbox, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    assert notify(rosterd, url).run()["sent"] == 0
    assert inbox.taken == []
    assert [row["state"] for row in notices(rosterd)] == ["cancelled"]


@pytest.fixture
def smtp_with_tls(tmp_path: Path) -> Iterator[tuple[MailServer, str]]:
    """A mail server that insists on STARTTLS, with a certificate that nobody signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "mail.pem"))
    with mail_server(tls=context) as found:
        yield found


def test_a_certificate_nobody_signed_is_not_trusted_unless_told(
    smtp_with_tls: tuple[MailServer, str],
) -> None:
    inbox, url = smtp_with_tls
    letter = Letter(to="u1@example.com", subject="Welcome", text="hello")
    with pytest.raises(MailError, match="verify=no") as refused:
        SMTPMailer(url, sender="rosterd@example.org").send(letter, id_="ntc_1")
    assert not refused.value.is_final
    assert inbox.taken == []
    mailer = SMTPMailer(f"{url}?verify=no", sender="rosterd@example.org")
    mailer.send(letter, id_="ntc_1")
    mailer.rest()
    assert [to for to, _ in inbox.taken] == ["u1@example.com"]
