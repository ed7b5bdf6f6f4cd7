"""Names and addresses that end lines, turn text round, steer terminals or pass for others."""

from __future__ import annotations

import email
import email.policy
import unicodedata
from typing import Any

import pytest

from tests.api import Client
from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import added

#: What no page, mail or listing may show as it is.
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: Ends of lines between which we write ourselves, and what keeps right-to-left names to themselves.
OURS = set("\n\r\t\u2068\u2069")
NAMES = {
    "line ends": "Ana\r\nBcc: thief@example.org\r\n\r\nhello",
    "bidi": "Ana \u202egro.elpmaxe\u202c",
    "terminal": "\x1b]0;owned\x07\x1b[2J\x9b31mAna",
    "markup": "[/b][red]Ana[link=https://example.org]",
    "html": "<script>alert(1)</script><b>Ana</b>",
    "invisible": "An\u200ba\u2028Silva\ufeff",
    "homoglyph": "\u0410n\u0430",
    "braces": "{{ link }} {0} %s",
    "long": "Ana " * 3000,
}
LISTINGS = (
    ("status",),
    ("user", "list"),
    ("group", "list", "--account", "acme"),
    ("event", "list"),
    ("event", "show", "1"),
    ("dead", "list"),
    ("dead", "groups"),
    ("connection", "list"),
)
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"}


def seen(text: str) -> set[str]:
    """Characters that nobody sees."""
    return {c for c in text if unicodedata.category(c) in HIDDEN} - OURS


def told_of(rosterd: Rosterd, feed: Feed, kind: str) -> None:
    """Somebody and a group of that name, by a provider's own ids that are no better."""
    name, address = NAMES[kind], f"{kind.replace(' ', '-')}@example.com"
    key = name[:200]
    rosterd.hire(feed, key, address, given_name=name, display_name=name)
    rosterd.tell(feed, "group.upserted", {"id": key, "name": name})
    rosterd.tell(feed, "group.member_added", {"group_id": key, "user_id": key})
    rosterd.hire(feed, f"{key}2", "ana@elsewhere.example", given_name=name)


def test_what_a_provider_calls_somebody_steers_no_mail_page_or_terminal(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    for kind in NAMES:
        told_of(rosterd, feed, kind)
    assert {event["state"] for event in rosterd.events()} <= {"ended", "dead", "waiting"}
    assert {event["attempts"] for event in rosterd.events()} == {0}, "no error of ours"
    mails = rosterd.mails()
    assert len(mails) == len(NAMES)
    for mail in [email.message_from_string(text, policy=email.policy.default) for text in mails]:
        assert set(mail.keys()) >= HEADERS
        assert "Bcc" not in mail
        for part in mail.walk():
            if part.get_content_maintype() == "text":
                assert seen(part.get_content()) == set()
        is_shown_as_text(rosterd, rosterd.link(mail["To"]))
    rosterd.operator("eve@example.com")
    rosterd.http.post(f"/sign-in/{rosterd.sign_in_link('eve@example.com')}")
    is_shown_as_text(rosterd, "/")
    people = rosterd.json("user", "list")
    assert {one["display_name"] for one in people} == set(NAMES.values()), "programs get it all"
    listed = rosterd.json("group", "list", "--account", "acme")
    groups = [("group", "show", group["id"]) for group in listed if group["managed"]]
    assert len(groups) == len(NAMES) - 1, "the long one is no name"
    for words in (*LISTINGS, *groups, *(("user", "show", one["id"]) for one in people)):
        done = rosterd.cli(*words)
        assert done.returncode == 0, (words, done.stderr)
        assert seen(done.stdout + done.stderr) == set(), words
    for words in LISTINGS:
        assert seen(rosterd.cli(*words, "--json").stdout) == set(), words


def is_shown_as_text(rosterd: Rosterd, path: str) -> None:
    page = rosterd.http.get(path)
    assert page.status_code == 200
    assert seen(page.text) == set()
    assert "<script>alert" not in page.text
    assert "<b>Ana" not in page.text


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.com\r\nBcc: thief@example.org",
        "ana\n@example.com",
        "ana@example.com,thief@example.org",
        "ana\u202e@example.com",
        "ana\x00@example.com",
        "ana\u200b@example.com",
        "an a@example.com",
        "ana@ex\u0430mple.com",
        "ana@example.com.",
        "<ana@example.com>",
    ],
)
def test_e4_an_address_that_is_odd_mails_nobody_and_links_nobody(
    rosterd: Rosterd, address: str
) -> None:
    feed = rosterd.account()
    added(rosterd, "ana@example.com", "--active")
    before = rosterd.mails()
    rosterd.hire(feed, "u1", address)
    linked = rosterd.user("u1")
    if address == "ana@example.com.":
        assert linked is not None, "a final dot is the same host"
        return
    assert linked is None or linked["email"] != "ana@example.com"
    assert [u["email"] for u in rosterd.users() if not u["managed"]] == ["ana@example.com"]
    if "\u0430" not in address:
        # A host of other letters is somebody's; whoever adds a person by hand may mean it.
        app = Client(rosterd, "directory:read", "directory:write")
        assert app.ask("POST", "/users", json={"email": address}).status_code in {400, 422}
        assert rosterd.cli("user", "add", "--account", "acme", address).returncode == 2
    mails = rosterd.mails()[len(before) :]
    assert not [text for text in mails if "thief" in text or "To: ana@example.com" in text]


def test_u7_e8_a_letter_that_looks_alike_is_another_mailbox(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    added(rosterd, "ana@example.com", "--active")
    rosterd.hire(feed, "u1", "\u0430na@example.com")
    (told,) = [line for line in rosterd.users() if line["managed"]]
    assert told["state"] == "invited"
    assert told["email"] != "ana@example.com"
    held: list[Any] = [line["state"] for line in rosterd.users() if not line["managed"]]
    assert held == ["active"], "whoever is there is neither linked nor touched"
