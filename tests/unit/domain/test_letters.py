"""What mails say, whatever names, addresses and words they are made of."""

from __future__ import annotations

import email
import email.policy
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.consequences import NoticeKind
from domain.display import ascii_domain, one_line, plain_name, shown_address
from domain.errors import UsageError
from domain.letters import About, Letter, write_letter
from domain.wording import MAILS, Wording, check_wording, variables_in
from worker.adapters.mail import compose

LINK = "https://directory.example.com/invitations/tOkEn-_1"
ABOUT = About(
    to="ana@example.com",
    account="Acme",
    link=LINK,
    name="Ana Silva",
    expires_at=datetime(2026, 12, 9, 8, 5, tzinfo=UTC),
)
#: Where strangers' text does harm: ends of lines, markup, direction, braces, invisible letters.
NASTY = st.text(
    st.sampled_from("a\r\n\t\x00\x0b\x85\u2028\u2029<>&\"'`=:{}\u202e\u2066\u2069\u200f\u200bא.й@ ")
)
#: Pieces that are markup, a variable or a header once they are believed.
PIECES = ("<b>", "</bdi>", "<img src=x>", "&lt;", "{{link}}", "{{ name }}", "\r\nBcc: x@y.z", "a")
TEXTS = st.one_of(
    NASTY,
    st.lists(st.sampled_from(PIECES)).map("".join),
    st.text(),
    st.sampled_from(["{{link}}", "{{ account }}", "</title>"]),
)


class Outline(HTMLParser):
    """Elements and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(letter: Letter) -> Outline:
    return Outline(letter.html)


@given(name=TEXTS, account=TEXTS, kind=st.sampled_from(NoticeKind), headline=TEXTS)
def test_no_name_adds_a_header_an_element_or_a_link(
    name: str, account: str, kind: NoticeKind, headline: str
) -> None:
    about = replace(ABOUT, name=name, account=account, headline=headline, details=(name, headline))
    letter = write_letter(kind, about)
    plain = write_letter(
        kind, replace(ABOUT, name="", account="x", headline="x", details=("a", "b"))
    )
    message = compose(letter, sender="rosterd <r@example.org>", id_="not_1")
    raw = message.as_bytes(policy=email.policy.SMTP)
    again = email.message_from_bytes(raw, policy=email.policy.default)
    expected = [name for name, _ in compose(plain, sender="r@example.org", id_="not_1").items()]
    assert [name for name, _ in again.items()] == expected
    assert again["To"] == "ana@example.com"
    told, usual = outline(letter), outline(plain)
    assert told.tags == usual.tags, "markup is text"
    assert set(told.links) == set(usual.links) <= {LINK}
    for text in (letter.subject, letter.text, told.text):
        hidden = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert hidden <= {"\n", "\u2068", "\u2069"}
        assert text.count("\u2068") == text.count("\u2069"), "every isolate ends"
    assert "\n" not in letter.subject
    assert len(letter.subject) <= 200


@given(text=st.text())
def test_one_line_is_one_line_and_stays_as_it_is(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
    assert len(line) <= 200


@pytest.mark.parametrize(
    "name",
    [
        "Ana Silva",
        "Seán O'Brien",
        "J. R. R. Tolkien",
        "Иван Петров",
        "山田 太郎",
        "नमिता",
        "José-María",
    ],
)
def test_plain_names_are_greeted(name: str) -> None:
    assert plain_name(name) == unicodedata.normalize("NFKC", name)
    assert (
        f"Hello {plain_name(name)},"
        in write_letter(NoticeKind.INVITATION, replace(ABOUT, name=name)).text
    )


@pytest.mark.parametrize(
    "name",
    [
        "visit evil.com now",
        "\uff45\uff56il\uff0ecom",
        "https://evil.example",
        "\u0410na",  # the first letter is Cyrillic
        "a" * 65,
        "12345",
        "Z̷̡̛̝͍͔͋̍͗͆a",
        "<b>Ana</b>",
        "Ana\x00\u202e",
        "",
    ],
)
def test_what_is_no_plain_name_is_not_said(name: str) -> None:
    letter = write_letter(NoticeKind.INVITATION, replace(ABOUT, name=name))
    if plain_name(name):
        assert plain_name(name) == "Ana", "hidden characters leave nothing"
    else:
        assert letter.text.startswith("Hello,\n")


def test_names_from_right_to_left_turn_nothing_around_them() -> None:
    letter = write_letter(NoticeKind.INVITATION, replace(ABOUT, name="נועה", account="חברה"))
    assert "Hello נועה," in letter.text.replace("\u2068", "").replace("\u2069", "")
    assert "\u2068חברה\u2069" in letter.text
    assert "<bdi>חברה</bdi>" in letter.html


def test_a_domain_in_disguise_is_shown_for_what_it_is() -> None:
    assert shown_address("ana@bücher.example") == "ana@bücher.example"
    assert shown_address("ana@p\u0430ypal.example") == "ana@xn--pypal-4ve.example"
    assert ascii_domain("straße.example") == "xn--strae-oqa.example"


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_each_kind_is_text_and_html_with_one_heading_and_no_variable_left(kind: NoticeKind) -> None:
    letter = write_letter(kind, replace(ABOUT, headline="Held", details=("312 people", "look")))
    told = outline(letter)
    assert told.tags.count("h1") == told.tags.count("main") == told.tags.count("title") == 1
    assert '<html lang="en"' in letter.html
    assert "{{" not in letter.text + letter.html + letter.subject
    assert (LINK in letter.text) == (LINK in letter.html)
    if MAILS[kind].needs_link:
        assert "9 December 2026, 08:05 UTC" in letter.text
        assert told.links == [LINK, LINK]


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if MAILS[kind].is_own])
def test_our_own_words_pass_our_own_check(kind: NoticeKind) -> None:
    assert check_wording(kind, MAILS[kind].wording) == MAILS[kind].wording


@pytest.mark.parametrize(
    ("wording", "problem"),
    [
        (Wording("Hi", "{{link}} {{salary}}"), "salary"),
        (Wording("Hi {{who}}", "{{link}}"), "the subject names {{who}}"),
        (Wording("Hi", "no way in"), "must have {{link}}"),
        (Wording("Hi", "{{link}}", html="<p>no way in</p>"), "the HTML must have {{link}}"),
        (Wording("{{link}}", "{{link}}"), "the subject names {{link}}"),
        (Wording("Hi\r\nBcc: x@y.z", "{{link}}"), "line ends"),
        (Wording("Hi\u202e", "{{link}}"), "hidden"),
        (Wording(" ", "{{link}}"), "subject is empty"),
        (Wording("Hi", "{{link}} {{account"), "belong to no variable"),
        (Wording("Hi", "{{link}} {{na me}}"), "belong to no variable"),
        (Wording("Hi", "{{link}}\x00"), "control characters"),
        (Wording("Hi", "{{link}}" + "x" * 20_000), "longer than"),
        (Wording("Hi", "{{link}}", language="<b>"), "no tag"),
        (Wording("x" * 201, "{{link}}"), "longer than"),
    ],
)
def test_words_that_would_fail_when_sent_are_refused_when_saved(
    wording: Wording, problem: str
) -> None:
    with pytest.raises(UsageError) as refused:
        check_wording(NoticeKind.INVITATION, wording)
    assert problem in str(refused.value)


@given(subject=TEXTS, text=TEXTS, html=st.one_of(st.none(), TEXTS), about=TEXTS)
def test_words_that_were_saved_are_always_sent(
    subject: str, text: str, html: str | None, about: str
) -> None:
    wording = Wording(subject, f"{text} {{{{link}}}}", html and f"{html}<a href='{{{{link}}}}'>")
    try:
        checked = check_wording(NoticeKind.INVITATION, wording)
    except UsageError:
        return
    letter = write_letter(NoticeKind.INVITATION, replace(ABOUT, account=about), checked)
    compose(letter, sender="r@example.org", id_="not_1").as_bytes(policy=email.policy.SMTP)
    assert LINK in letter.text
    assert LINK in letter.html
    assert not variables_in(letter.subject.replace(one_line(about, limit=100), ""))


def test_an_accounts_own_words_make_html_as_ours_do() -> None:
    words = Wording(
        "Willkommen bei {{account}}",
        "Guten Tag {{name}},\n\n{{link}}\n\n- eins\n- zwei <b>\n\nBis {{expires}}.",
        language="de",
        button="Einladung annehmen",
    )
    letter = write_letter(NoticeKind.INVITATION, ABOUT, words)
    told = outline(letter)
    assert '<html lang="de"' in letter.html
    assert told.tags.count("li") == 2
    assert "b" not in told.tags, "words are text, too"
    assert "Einladung annehmen" in told.text
    assert "2026-12-09 08:05 UTC" in letter.text
    assert "If the button" not in told.text, "no English among it"
    assert letter.subject == "Willkommen bei Acme"
