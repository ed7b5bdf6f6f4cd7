"""Mails before they meet a mail server: a kind's words filled in, as plain text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape

from domain.consequences import NoticeKind
from domain.display import isolated, one_line, plain_name, shown_address
from domain.letter_html import page
from domain.wording import MAILS, Wording, filled

_LONGEST_ACCOUNT = 100
_LONGEST_LINE = 500
#: What a mail's subject may hold once it is filled in: short of the line of RFC 5322.
_LONGEST_SUBJECT = 200
_BUTTON = re.compile(r"\{\{\s*link\s*\}\}")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail before it meets a mail server. html "": plain text only."""

    to: str
    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What a mail tells of: whatever came from outside is cleaned when it is filled in.

    expires_at: when the link dies. headline, details: what an operator is alerted to.
    """

    to: str
    account: str = ""
    link: str = ""
    name: str = ""
    expires_at: datetime | None = None
    headline: str = ""
    details: tuple[str, ...] = ()


def write_letter(kind: NoticeKind, about: About, wording: Wording | None = None) -> Letter:
    """The mail for a notice. wording: the account's own words, None for ours."""
    words = wording or MAILS[kind].wording
    values = _values(about, words.language)
    plain = {name: isolated(value) for name, value in values.items()}
    details = [one_line(line, limit=_LONGEST_LINE) for line in about.details]
    plain["details"] = "\n".join(f"- {isolated(line)}" for line in details)
    subject = one_line(filled(words.subject, values), limit=_LONGEST_SUBJECT)
    marked = {name: f"<bdi>{escape(value)}</bdi>" for name, value in values.items()}
    marked["link"] = escape(values["link"])
    marked["details"] = "\n".join(f"- <bdi>{escape(line)}</bdi>" for line in details)
    if words.html is not None:
        html = filled(words.html, marked)
    else:
        html = page(
            title=escape(subject),
            body=_body(words, marked, action=words.button or MAILS[kind].action),
            language=words.language,
        )
    return Letter(about.to, subject, filled(words.text, plain).strip() + "\n", html)


def _values(about: About, language: str) -> dict[str, str]:
    """Values of variables, one line each, as they stand in a subject or in plain text."""
    name = plain_name(about.name)
    return {
        "account": one_line(about.account, limit=_LONGEST_ACCOUNT),
        "address": shown_address(about.to),
        "name": name,
        "greeting": f"Hello {name}," if name else "Hello,",
        "link": about.link,
        "expires": _moment(about.expires_at, language),
        "headline": one_line(about.headline, limit=_LONGEST_SUBJECT),
    }


def _moment(at: datetime | None, language: str) -> str:
    """Words in English; figures that are read everywhere in other languages."""
    if at is None:
        return ""
    return f"{at.day} {at:%B %Y, %H:%M} UTC" if language == "en" else f"{at:%Y-%m-%d %H:%M} UTC"


def _body(words: Wording, marked: Mapping[str, str], *, action: str) -> str:
    """Paragraphs, with a button where the link stands alone, and lists of lines with a dash."""
    parts = []
    hint = "If the button does not work, open this address:<br>" if words.language == "en" else ""
    for block in re.split(r"\n[ \t]*\n", words.text.strip()):
        if _BUTTON.fullmatch(block.strip()):
            parts.append(_button(marked["link"], action, hint) if marked["link"] else "")
            continue
        inline = f'<a class="link" href="{marked["link"]}">{marked["link"]}</a>'
        done = filled(escape(block, quote=False), {**marked, "link": inline})
        parts.append(_paragraph(done))
    return "\n".join(part for part in parts if part)


def _paragraph(html: str) -> str:
    lines = [line for line in html.split("\n") if line.strip()]
    if lines and all(line.startswith("- ") for line in lines):
        items = "".join(f"<li>{line.removeprefix('- ')}</li>" for line in lines)
        return f"<ul>{items}</ul>"
    return f"<p>{'<br>'.join(lines)}</p>" if lines else ""


def _button(link: str, action: str, hint: str) -> str:
    """The link as something to press, and as an address for whom that does not work."""
    return (
        f'<p class="press"><a class="act" href="{link}">{escape(action)}</a></p>\n'
        f'<p class="small">{hint}'
        f'<a class="link" href="{link}">{link}</a></p>'
    )
