"""Mails to members as plain text: what happened, what to do, what happens if they do nothing."""

from __future__ import annotations

from dataclasses import dataclass

from domain.consequences import NoticeKind


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail before it meets a mail server."""

    to: str
    subject: str
    text: str


def write_letter(kind: NoticeKind, *, to: str, account: str, link: str) -> Letter:
    """The mail for a notice. link: the page to open, "" where there is nothing to do."""
    match kind:
        case NoticeKind.INVITATION:
            return Letter(
                to,
                f"You are invited to {account}",
                f"Your organisation has given you an account at {account}.\n\n"
                f"Accept the invitation here:\n{link}\n\n"
                "The link works once. If you did not expect this, do nothing.\n",
            )
        case NoticeKind.EMAIL_CHANGE:
            return Letter(
                to,
                f"Confirm your new e-mail address at {account}",
                f"Your organisation changed your e-mail address at {account} to this one.\n\n"
                f"Confirm it here:\n{link}\n\n"
                "Until then your former address stays in force.\n",
            )
        case NoticeKind.EMAIL_CHANGE_NOTE:
            return Letter(
                to,
                f"Your e-mail address at {account} is about to change",
                f"Your organisation asked to change your e-mail address at {account}. The change "
                "takes effect when it is confirmed at the new address.\n\n"
                "If this is wrong, tell your administrator.\n",
            )
