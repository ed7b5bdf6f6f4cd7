"""A mail as it would look, to an invented person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.consequences import NoticeKind
from domain.letters import About, Letter, write_letter
from domain.wording import MAILS, Wording
from worker.adapters.vault import new_token


def sample(
    kind: NoticeKind, wording: Wording, account: str, *, public_url: str, days: float
) -> Letter:
    """The letter, with a link that leads nowhere. days: how long it says that it is good for."""
    start = public_url.rstrip("/")
    page = MAILS[kind].page
    about = About(
        to="ana.silva@example.com",
        account=account,
        link=f"{start}/{page}/{new_token()}" if page else f"{start}/",
        name="Ana Silva",
        expires_at=datetime.now(UTC) + timedelta(days=days),
        headline="An example of an alert",
        details=("What happened, with names and numbers.", "What to do next."),
    )
    return write_letter(kind, about, wording if wording != MAILS[kind].wording else None)
