"""What mails say: each kind's own words, what may stand in them, and the words of an account.

A new kind of mail is a member of `NoticeKind` and an entry of `MAILS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from domain.consequences import NoticeKind
from domain.display import has_hidden
from domain.errors import UsageError

LONGEST_SUBJECT = 200
LONGEST_TEXT = 20_000
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
#: What is left of braces once the variables are out: a variable that would be mailed as it stands.
_STRAY = re.compile(r"\{\{|\}\}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Wording:
    """A mail with variables, `{{account}}`. html None: made of the text.

    language: BCP 47, for programs that read mails aloud. button: what stands on the button, ""
    for the kind's own English word.
    """

    subject: str
    text: str
    html: str | None = None
    language: str = "en"
    button: str = ""


@dataclass(frozen=True, slots=True)
class MailKind:
    """A kind of mail.

    variables: what its words may name. page: where its link leads, None for the start page.
    action: what the button says. is_own: whether an account may have other words.
    """

    wording: Wording
    variables: frozenset[str]
    page: str | None
    action: str
    is_own: bool = True

    @property
    def needs_link(self) -> bool:
        """A mail about something to accept is useless without the link."""
        return self.page is not None


_OF_PEOPLE = frozenset({"account", "address", "name", "greeting"})
_TO_ANSWER = _OF_PEOPLE | {"link", "expires"}

MAILS: Mapping[NoticeKind, MailKind] = {
    NoticeKind.INVITATION: MailKind(
        Wording(
            "You are invited to {{account}}",
            "{{greeting}}\n\n"
            "Your organisation has given you an account at {{account}}. Accept the invitation "
            "to begin:\n\n"
            "{{link}}\n\n"
            "The link works once, until {{expires}}. If you did not expect this mail, do nothing.",
        ),
        variables=_TO_ANSWER,
        page="invitations",
        action="Accept the invitation",
    ),
    NoticeKind.EMAIL_CHANGE: MailKind(
        Wording(
            "Confirm your new e-mail address at {{account}}",
            "{{greeting}}\n\n"
            "Your organisation changed your e-mail address at {{account}} to {{address}}. "
            "Confirm that it is yours:\n\n"
            "{{link}}\n\n"
            "The link works once, until {{expires}}. Until you confirm it, your former address "
            "stays in force.",
        ),
        variables=_TO_ANSWER,
        page="email-changes",
        action="Confirm the address",
    ),
    NoticeKind.EMAIL_CHANGE_NOTE: MailKind(
        Wording(
            "Your e-mail address at {{account}} is about to change",
            "{{greeting}}\n\n"
            "Your organisation asked to change your e-mail address at {{account}}. The change "
            "takes effect when it is confirmed at the new address.\n\n"
            "If this is wrong, tell your administrator.",
        ),
        variables=_OF_PEOPLE,
        page=None,
        action="",
    ),
    NoticeKind.OPERATOR_ALERT: MailKind(
        Wording("[rosterd] {{headline}}", "{{details}}\n\n{{link}}"),
        variables=frozenset({"headline", "details", "link"}),
        page=None,
        action="Open the status page",
        is_own=False,
    ),
}


def variables_in(text: str) -> list[str]:
    """Names of the variables of a text, in their order."""
    return _VARIABLE.findall(text)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables replaced; what a value holds is not looked at again."""
    return _VARIABLE.sub(lambda match: values.get(match[1], ""), text)


def check_wording(kind: NoticeKind, wording: Wording) -> Wording:
    """An account's words for a kind of mail, fit to be sent; raises UsageError with every problem.

    Checked when they are saved, so that no mail fails on its words.
    """
    mail = MAILS[kind]
    if not mail.is_own:
        raise UsageError(f"mails of kind {kind.value} go to operators and have fixed words")
    text = wording.text.replace("\r\n", "\n").strip()
    problems = [
        *_problems_of_line("subject", wording.subject),
        *_problems_of_line("button", wording.button),
        *(() if wording.subject.strip() else ("the subject is empty",)),
        *_problems_of_text("text", text, mail),
        *(_problems_of_text("HTML", wording.html, mail) if wording.html is not None else ()),
        *_unknown("subject", wording.subject, mail, without={"link"}),
    ]
    if not _LANGUAGE.fullmatch(wording.language):
        problems.append(f"language {wording.language!r} is no tag such as en or pt-BR")
    if problems:
        raise UsageError("\n".join(problems))
    return replace(wording, subject=wording.subject.strip(), text=text)


def _problems_of_line(what: str, line: str) -> list[str]:
    if has_hidden(line):
        return [f"the {what} has line ends or hidden characters in it"]
    if len(line) > LONGEST_SUBJECT:
        return [f"the {what} is longer than {LONGEST_SUBJECT} characters"]
    return []


def _problems_of_text(what: str, text: str, mail: MailKind) -> list[str]:
    problems = _unknown(what, text, mail)
    if not text.strip():
        problems.append(f"the {what} is empty")
    if _CONTROL.search(text):
        problems.append(f"the {what} has control characters in it")
    if len(text) > LONGEST_TEXT:
        problems.append(f"the {what} is longer than {LONGEST_TEXT} characters")
    if mail.needs_link and "link" not in variables_in(text):
        problems.append(f"the {what} must have {{{{link}}}}: there is nothing to open without it")
    return problems


def _unknown(what: str, text: str, mail: MailKind, without: set[str] | None = None) -> list[str]:
    known = sorted(mail.variables - (without or set()))
    problems = [
        f"the {what} names {{{{{name}}}}}, which is unknown; there are: {', '.join(known)}"
        for name in dict.fromkeys(variables_in(text))
        if name not in known
    ]
    if _STRAY.search(_VARIABLE.sub("", text)):
        problems.append(f"the {what} has {{{{ or }}}} that belong to no variable")
    return problems
