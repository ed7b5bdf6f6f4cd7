"""What is remembered of mails is byte for byte what the library writes when it is asked anew."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.letters import Letter
from worker.adapters import mail
from worker.adapters.mail_form import FILE, SEVEN_BITS, WIDE, MailForm

WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=120)
PLAIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=120)
FORMS = {
    "seven bits": (SEVEN_BITS, policy.SMTP),
    "wide": (WIDE, policy.SMTPUTF8),
    "file": (FILE, policy.SMTPUTF8.clone(linesep="\n")),
}
WHEN = "Thu, 26 Nov 2026 12:00:00 +0000"


def composed(letter: Letter, sender: str, reply_to: str | None) -> EmailMessage:
    with patch.object(mail, "formatdate", lambda **_: WHEN):
        return mail.compose(letter, sender=sender, id_="ntc_1", reply_to=reply_to)


@pytest.mark.parametrize("form", FORMS)
@given(
    to=st.sampled_from(["ana@example.com", "änna@example.com", '"a b"@example.com']),
    subject=WORDS | PLAIN,
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    html=st.sampled_from(["", "<p>ü</p>", "<p>" + "x" * 200 + "</p>\n.\nFrom here\n--=_parts\n"]),
    name=st.sampled_from(["rosterd", "Ünïcode Näme", "a, b"]),
    reply_to=st.sampled_from([None, "help@example.org"]),
)
def test_a_mail_is_written_as_the_library_writes_it(
    form: str, to: str, subject: str, text: str, html: str, name: str, reply_to: str | None
) -> None:
    ours, theirs = FORMS[form]
    letter = Letter(to, subject.strip(), text, html)
    sender = f'"{name}" <rosterd@example.org>'
    with patch.object(mail, "SEVEN_BITS", policy.SMTP.clone(max_line_length=76)):
        expected = composed(letter, sender, reply_to)
    expected_bytes = expected.as_bytes(policy=theirs.clone(max_line_length=76))
    for _ in range(2):
        assert composed(letter, sender, reply_to).as_bytes(policy=ours) == expected_bytes


def test_what_a_letter_says_is_not_remembered() -> None:
    for name in ("ana", "ben"):
        letter = Letter(f"{name}@example.com", f"Welcome {name}", f"hello {name}\n")
        written = composed(letter, "rosterd@example.org", None).as_bytes(policy=SEVEN_BITS)
        assert f"To: {name}@example.com\r\nSubject: Welcome {name}".encode() in written


def test_two_forms_of_a_header_are_told_apart() -> None:
    forms: tuple[MailForm, ...] = (SEVEN_BITS, WIDE, FILE)
    _, sender = SEVEN_BITS.header_store_parse("From", "Ünïcode <rosterd@example.org>")
    assert len({form.fold_binary("From", sender) for form in forms}) == 3
