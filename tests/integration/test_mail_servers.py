"""Mail servers that put off, refuse, hang at any verb, hang up or cannot be trusted (E7)."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.letters import Letter
from domain.notices import MailError
from tests.harness import Rosterd
from tests.mailserver import (
    TLS_RECORD,
    MailServer,
    dripping_server,
    mail_server,
    parts,
    self_signed,
)
from tests.servers import await_true
from worker.adapters import mail, mail_connection
from worker.adapters.db import rows
from worker.adapters.db.notices import SQLOutbox
from worker.adapters.mail import SMTPMailer
from worker.services import notify as notifying
from worker.services.notify import Notify

SENDER = "rosterd <rosterd@example.org>"
HELLO = Letter(to="ana@example.com", subject="Welcome", text="hello\n", html="<p>hello</p>")


@pytest.fixture
def smtp() -> Iterator[tuple[MailServer, str]]:
    with mail_server() as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a real time-out in a test; a busy machine answers within this one."""
    monkeypatch.setattr(mail_connection, "TIMEOUT_SECONDS", 2)
    monkeypatch.setattr(mail, "ANSWER_SECONDS", 2)


def notify(rosterd: Rosterd, url: str) -> Notify:
    return replace(rosterd.parts.notify, mailer=SMTPMailer(url, sender=SENDER))


def send(url: str, letter: Letter, *, id_: str) -> None:
    """One mail over a connection of its own."""
    mailer = SMTPMailer(url, sender=SENDER)
    try:
        mailer.send(letter, id_=id_)
    finally:
        mailer.rest()


def notices(rosterd: Rosterd) -> list[dict[str, Any]]:
    return sorted(rosterd.table(rows.notices), key=lambda row: str(row["address"]))


def make_due(rosterd: Rosterd) -> None:
    """As if every wait and lease were over."""
    with rosterd.parts.database.begin() as connection:
        table = rows.notices
        due = table.c.due_at.is_not(None)
        connection.execute(table.update().where(due).values(due_at=rosterd.at(0)))
        connection.commit()


def marks(rosterd: Rosterd) -> dict[str, str]:
    """Whom `user list` shows as undeliverable, and why."""
    listed = rosterd.json("user", "list")
    return {u["email"]: u["undeliverable"]["why"] for u in listed if u["undeliverable"]}


def test_e7_refused_for_good_marks_the_person_and_a_later_mail_clears_it(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    _, url = smtp
    feed = rosterd.account()
    for key in ("gone", "later", "u1"):
        rosterd.hire(feed, key)
    before = rosterd.export()
    assert notify(rosterd, url).run() == {"sent": 1, "retrying": 1, "failed": 1, "lease_lost": 0}
    told = marks(rosterd)
    assert list(told) == ["gone@example.com"]
    assert "550 5.1.1 no such user" in told["gone@example.com"]
    assert rosterd.export() == before, "the mark is the operators', not the application's"
    gone = next(u for u in rosterd.json("user", "list") if u["email"] == "gone@example.com")
    story = rosterd.json("user", "show", gone["id"])
    assert story["undeliverable"]["address"] == "gone@example.com"
    assert story["undeliverable"]["at"]
    assert story["timeline"][-1]["action"] == "user.undeliverable"
    assert story["links"][0]["mails"][0]["state"] == "failed"
    make_due(rosterd)
    assert notify(rosterd, url).run()["failed"] == 0, "what is refused for good is not tried again"
    rosterd.hire(feed, "gone", "found@example.com")
    assert marks(rosterd) == {}, "the refused address is nobody's any more"
    assert notify(rosterd, url).run()["sent"] == 1
    assert rosterd.json("user", "show", gone["id"])["undeliverable"] is None


def test_e7_a_mail_to_the_same_address_that_arrives_clears_the_mark(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    server.answers["DATA"] = "554 5.7.1 looks like spam"
    assert notify(rosterd, url).run()["failed"] == 1
    assert "looks like spam" in marks(rosterd)["u1@example.com"]
    server.answers.clear()
    person = rosterd.json("user", "list")[0]["id"]
    done = rosterd.cli("user", "resend", person, "--reason", "asked their provider")
    assert done.returncode == 0, done.stderr
    assert notify(rosterd, url).run()["sent"] == 1
    assert marks(rosterd) == {}


def test_e7_a_note_that_reaches_the_old_address_says_nothing_of_the_new_one(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "gone@example.com"})
    assert notify(rosterd, url).run() == {"sent": 1, "retrying": 0, "failed": 1, "lease_lost": 0}
    assert server.recipients == ["u1@example.com"]
    (shown,) = rosterd.json("user", "list")
    assert shown["undeliverable"]["address"] == "gone@example.com"
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "u1@example.com"})
    assert rosterd.json("user", "list")[0]["undeliverable"] is None, "it is not asked for any more"


def test_e7_greylisted_it_waits_longer_each_time_and_then_arrives(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    server.answers["RCPT"] = "450 4.2.0 greylisted"
    waits = []
    sender = replace(notify(rosterd, url), random=lambda: 1.0)
    for _ in range(3):
        make_due(rosterd)
        assert sender.run()["retrying"] == 1
        (row,) = notices(rosterd)
        waits.append(round((row["due_at"] - rosterd.now()).total_seconds(), -1))
    assert waits == [60, 120, 240]
    assert marks(rosterd) == {}
    server.answers.clear()
    make_due(rosterd)
    assert sender.run()["sent"] == 1
    assert len(server.taken) == 1


def test_e7_put_off_for_days_is_given_up_and_marks_the_person(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    _, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "later")
    short = replace(notifying.MAIL_RETRY, max_attempts=2)
    sender = replace(notify(rosterd, url), retry=short)
    assert sender.run()["retrying"] == 1
    make_due(rosterd)
    assert sender.run()["failed"] == 1
    assert "451" in marks(rosterd)["later@example.com"]


def test_full_jitter_spreads_the_next_tries() -> None:
    policy = notifying.MAIL_RETRY
    assert policy.ceiling(1) == timedelta(minutes=1)
    assert policy.ceiling(40) == timedelta(hours=1)
    lasts = sum((policy.ceiling(n) / 2 for n in range(1, policy.max_attempts)), timedelta())
    assert timedelta(days=2) < lasts < timedelta(days=5)


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_a_server_that_hangs_at_a_verb_is_given_up_and_the_mail_waits(
    smtp: tuple[MailServer, str], impatient: None, verb: str
) -> None:
    server, url = smtp
    server.hang_at = verb
    with pytest.raises(MailError) as given_up:
        send(url, HELLO, id_="not_1")
    assert not given_up.value.is_final
    assert given_up.value.is_server == (verb == "EHLO")
    assert server.taken == []


@pytest.mark.parametrize("answer", ["", "500 no", "421 closing"])
def test_a_mail_that_was_taken_is_sent_whatever_becomes_of_the_good_bye(
    smtp: tuple[MailServer, str], impatient: None, answer: str
) -> None:
    server, url = smtp
    server.hang_at = "" if answer else "QUIT"
    server.answers["QUIT"] = answer
    send(url, HELLO, id_="not_1")
    assert server.recipients == ["ana@example.com"]


def test_a_server_that_drips_is_cut_off_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "WHOLE_SECONDS", 0.8)
    with dripping_server() as there, pytest.raises(MailError) as given_up:
        send(f"smtp://{there}", HELLO, id_="not_1")
    assert given_up.value.is_server


def test_a_handshake_that_drips_is_cut_off_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS from the first byte on, and after STARTTLS."""
    monkeypatch.setattr(mail, "WHOLE_SECONDS", 0.8)
    with dripping_server(begins=TLS_RECORD) as there, pytest.raises(MailError) as given_up:
        send(f"smtps://{there}", HELLO, id_="not_1")
    assert given_up.value.is_server
    says = (b"220 hello\r\n", b"250-hello\r\n250 STARTTLS\r\n", b"220 go on\r\n")
    with (
        dripping_server(begins=TLS_RECORD, says=says) as there,
        pytest.raises(MailError) as given_up,
    ):
        send(f"smtp://{there}", HELLO, id_="not_1")
    assert given_up.value.is_server


def test_mails_of_one_run_go_over_one_connection(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    """A refusal between them ends nothing but itself."""
    server, url = smtp
    feed = rosterd.account()
    for key in ("u1", "u2", "gone", "later", *(f"v{n}" for n in range(30))):
        rosterd.hire(feed, key)
    # The longest wait: drawn, it may be over before the others are sent.
    tally = replace(notify(rosterd, url), random=lambda: 1.0).run()
    assert tally == {"sent": 32, "retrying": 1, "failed": 1, "lease_lost": 0}
    assert (server.greeted, server.left) == (1, 1)
    rosterd.hire(feed, "w1")
    assert notify(rosterd, url).run()["sent"] == 1
    assert (server.greeted, server.left) == (2, 2), "nothing is kept between runs"


@pytest.mark.parametrize(
    ("bound", "most", "connections"), [("KEPT_MAILS", 2, 3), ("KEPT_SECONDS", 0.0, 5)]
)
def test_a_connection_is_kept_for_so_many_mails_and_so_long(
    smtp: tuple[MailServer, str],
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    most: float,
    connections: int,
) -> None:
    server, url = smtp
    monkeypatch.setattr(mail_connection, bound, most)
    mailer = SMTPMailer(url, sender=SENDER)
    for number in range(5):
        mailer.send(HELLO, id_=f"not_{number}")
    mailer.rest()
    assert len(server.taken) == 5
    assert server.greeted == server.left == connections


@pytest.mark.parametrize("is_told", [True, False], ids=["421", "without a word"])
def test_a_server_that_leaves_between_two_mails_is_greeted_anew(
    smtp: tuple[MailServer, str], is_told: bool
) -> None:
    server, url = smtp
    mailer = SMTPMailer(url, sender=SENDER)
    server.hangs_up = not is_told
    server.answers["RSET"] = "421 4.4.2 idle for too long" if is_told else "250 OK"
    for number in range(3):
        mailer.send(HELLO, id_=f"not_{number}")
        if server.hangs_up:
            kept = mailer._kept.connection
            assert kept is not None
            await_true(lambda sock=kept.server.sock: _has_ended(sock), name="it hangs up")  # type: ignore[misc]
    mailer.rest()
    assert len(server.taken) == 3
    assert server.greeted == 3


def _has_ended(sock: socket.socket) -> bool:
    sock.settimeout(0.01)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False


def test_mails_go_over_tls_from_the_first_byte_on(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "mail.pem"))
    with mail_server(tls=context, is_wrapped=True) as (server, url):
        mailer = SMTPMailer(f"{url}?verify=no", sender=SENDER)
        for number in range(2):
            mailer.send(HELLO, id_=f"not_{number}")
        mailer.rest()
        with pytest.raises(MailError, match="not trusted"):
            send(url, HELLO, id_="not_3")
    assert len(server.taken) == 2
    assert server.greeted == 1


def test_hung_up_after_the_mail_it_goes_out_again_under_the_same_id(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    server.drops = True
    assert notify(rosterd, url).run()["retrying"] == 1
    server.drops = False
    make_due(rosterd)
    assert notify(rosterd, url).run()["sent"] == 1
    # The documented doubt: the server had the first, and nobody can know.
    first, second = (message for _, message in server.taken)
    assert first["Message-ID"] == second["Message-ID"]
    assert parts(first) == parts(second), "and the same link"


def test_a_sender_that_is_refused_is_a_matter_of_set_up_not_of_the_person(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key)
    server.answers["MAIL"] = "550 5.7.1 we do not know you"
    # The longest wait: drawn, it may be over before the others are sent.
    patient = replace(notify(rosterd, url), random=lambda: 1.0)
    assert patient.run() == {"sent": 0, "retrying": 1, "failed": 0, "lease_lost": 0}
    assert marks(rosterd) == {}
    tried = [row["attempts"] for row in notices(rosterd)]
    assert sorted(tried) == [0, 0, 1], "one mail found out for all"
    server.answers.clear()
    assert notify(rosterd, url).run()["sent"] == 2, "the others were given back, and are due"


def test_a_refused_password_marks_nobody(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    with mail_server(auth=True) as (server, url):
        assert notify(rosterd, url).run()["retrying"] == 1
    assert "refuses us (535)" in notices(rosterd)[0]["last_error"]
    assert marks(rosterd) == {}
    assert server.taken == []


def test_addresses_in_other_scripts_with_and_without_the_servers_help() -> None:
    wide, domain = "jörg@example.com", "ana@bücher.example"
    with mail_server(utf8=False) as (server, url):
        send(url, replace(HELLO, to=domain), id_="not_1")
        with pytest.raises(MailError, match="beyond ASCII") as refused:
            send(url, replace(HELLO, to=wide), id_="not_2")
        assert refused.value.is_final
        assert server.recipients == ["ana@xn--bcher-kva.example"]
        assert server.taken[0][1]["To"] == "ana@xn--bcher-kva.example"
    with mail_server(utf8=True) as (server, url):
        send(url, replace(HELLO, to=wide), id_="not_3")
        assert server.recipients == [wide]
        assert "SMTPUTF8" in server.froms[0][1]
        assert "BODY=8BITMIME" in server.froms[0][1]


def test_sharp_s_is_its_own_domain_and_not_another_ones() -> None:
    with mail_server() as (server, url):
        send(url, replace(HELLO, to="a@straße.example"), id_="not_1")
        assert server.recipients == ["a@xn--strae-oqa.example"], "not strasse.example"


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com,b@example.com",
        "a@example.com\nBcc: x@y.example",
        "a@example.com\r\nRCPT TO:<x@y.example>",
        "a@example.com> SIZE=1",
        "a b@example.com",
        "<a@example.com>",
        "a@example.com\u2028",
        "a@exam ple.com",
        "@example.com",
        "a@",
        "a@-.com",
        "\x00@example.com",
        "\ud800@example.com",
    ],
)
def test_no_address_becomes_two_or_a_header_or_a_command(
    smtp: tuple[MailServer, str], address: str
) -> None:
    server, url = smtp
    with pytest.raises(MailError) as refused:
        send(url, replace(HELLO, to=address), id_="not_1")
    assert refused.value.is_final
    assert server.taken == []


def test_a_lease_never_ends_while_a_mail_is_in_hand(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    """A slow server used up the lease of the share; the next sender sent what was left again."""
    server, url = smtp
    feed = rosterd.account()
    for number in range(4):
        rosterd.hire(feed, f"u{number}")
    clock = [0.0]

    class Slow(SMTPMailer):
        def send(self, letter: Letter, *, id_: str) -> None:
            super().send(letter, id_=id_)
            clock[0] += notifying.LONGEST.total_seconds()

    slow = replace(
        rosterd.parts.notify, mailer=Slow(url, sender=SENDER), monotonic=lambda: clock[0]
    )
    shares: list[list[str]] = []
    box = SQLOutbox(rosterd.parts.database, rosterd.parts.vault)

    class Watched(SQLOutbox):
        def claim(self, *, limit: int, lease: timedelta) -> Any:
            began = clock[0]
            found = super().claim(limit=limit, lease=lease)
            shares.append([notice.id for notice in found])
            ends.append(began + lease.total_seconds())
            return found

        def sent(self, notices: Any) -> frozenset[str]:
            assert clock[0] <= ends[-1], "finished within its lease"
            return super().sent(notices)

    ends: list[float] = []
    watched = Watched(box._database, box._vault)
    assert replace(slow, outbox=watched).run()["sent"] == 4
    assert sorted(server.recipients) == [f"u{n}@example.com" for n in range(4)]
    assert len(shares) >= 3, "what the lease did not cover was given back and claimed anew"


def test_many_are_claimed_at_once_only_while_mails_leave_promptly(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    """What is claimed waits for whatever is slow before it."""
    _, url = smtp
    feed = rosterd.account()
    for number in range(notifying.SHARE + notifying.PROMPT_SHARE + 1):
        rosterd.hire(feed, f"u{number}")
    clock, shares = [0.0], list[int]()

    class Watched(SQLOutbox):
        def claim(self, *, limit: int, lease: timedelta) -> Any:
            shares.append(limit)
            return super().claim(limit=limit, lease=lease)

    class Timed(SMTPMailer):
        def send(self, letter: Letter, *, id_: str) -> None:
            super().send(letter, id_=id_)
            clock[0] += 0.0 if len(shares) == 1 else notifying.PROMPT_SECONDS

    watched = Watched(rosterd.parts.database, rosterd.parts.vault)
    sender = replace(
        rosterd.parts.notify,
        outbox=watched,
        mailer=Timed(url, sender=SENDER),
        monotonic=lambda: clock[0],
    )
    assert sender.run()["sent"] == notifying.SHARE + notifying.PROMPT_SHARE + 1
    few, many = notifying.SHARE, notifying.PROMPT_SHARE
    assert shares == [few, many, few, few], "the last finds nothing"


def test_mails_that_follow_each_other_closely_are_noted_together_and_slow_ones_at_once(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    clock, noted = [0.0], list[int]()

    class Watched(SQLOutbox):
        def sent(self, notices: Any) -> frozenset[str]:
            noted.append(len(notices))
            return super().sent(notices)

    class Timed(SMTPMailer):
        def send(self, letter: Letter, *, id_: str) -> None:
            super().send(letter, id_=id_)
            clock[0] += seconds

    watched = Watched(rosterd.parts.database, rosterd.parts.vault)
    sender = replace(
        rosterd.parts.notify,
        outbox=watched,
        mailer=Timed(url, sender=SENDER),
        monotonic=lambda: clock[0],
    )
    for seconds, expected in ((0.0, [5]), (2 * notifying.UNNOTED_SECONDS, [2, 2, 1])):
        for n in range(5):
            rosterd.hire(feed, f"u{seconds}-{n}")
        noted.clear()
        assert sender.run()["sent"] == 5
        assert noted == expected
    assert len(server.recipients) == 10


def test_killed_between_the_servers_yes_and_the_note_it_is_sent_once_more_at_most(
    rosterd: Rosterd, smtp: tuple[MailServer, str]
) -> None:
    server, url = smtp
    feed = rosterd.account()
    rosterd.hire(feed, "u1")

    class Killed(SQLOutbox):
        def sent(self, _notices: Any) -> frozenset[str]:
            raise KeyboardInterrupt

    dying = Killed(rosterd.parts.database, rosterd.parts.vault)
    with pytest.raises(KeyboardInterrupt):
        replace(notify(rosterd, url), outbox=dying).run()
    assert notify(rosterd, url).run()["sent"] == 0, "its lease still runs"
    make_due(rosterd)
    senders = [threading.Thread(target=notify(rosterd, url).run) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(server.taken) == 2
    assert len({message["Message-ID"] for _, message in server.taken}) == 1


def test_e7_a_bounce_reported_later_marks_whoever_holds_the_address(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    done = rosterd.cli("user", "bounce", "U1@Example.com", "--reason", "550 mailbox full", "--json")
    assert done.returncode == 0, done.stderr
    assert marks(rosterd) == {"u1@example.com": "550 mailbox full"}
    entry = rosterd.table(rows.audit, rows.audit.c.action == "user.undeliverable")[-1]
    assert entry["actor"].startswith("cli:")
    assert rosterd.cli("user", "bounce", "nobody@example.com", "--reason", "x").returncode == 3
    assert rosterd.cli("user", "bounce", "no address", "--reason", "x").returncode == 2
    assert rosterd.cli("user", "bounce", "u1@example.com", "--reason", " ").returncode == 2


def test_an_untrusted_certificate_marks_nobody_and_waits(rosterd: Rosterd, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "mail.pem"))
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    with mail_server(tls=context) as (server, url):
        assert notify(rosterd, url).run()["retrying"] == 1
        assert "not trusted" in notices(rosterd)[0]["last_error"]
        assert marks(rosterd) == {}
        make_due(rosterd)
        assert notify(rosterd, f"{url}?verify=no").run()["sent"] == 1
    assert server.recipients == ["u1@example.com"]
