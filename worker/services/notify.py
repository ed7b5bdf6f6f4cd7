"""Send what is due to members: short claim with a lease, send, short finish with a fence (D6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from domain.consequences import NoticeKind
from domain.letters import write_letter
from domain.notices import DueNotice, Mailer, MailError, Outbox
from domain.retry import GiveUp, RetryPolicy, decide_retry

#: Notices under one lease; small, so that a slow mail server holds few of them.
SHARE = 20
LEASE = timedelta(seconds=60)

PATHS = {NoticeKind.INVITATION: "invitations", NoticeKind.EMAIL_CHANGE: "email-changes"}


@dataclass(frozen=True, slots=True)
class Notify:
    """One pass over the mails that are due."""

    outbox: Outbox
    mailer: Mailer
    public_url: str
    random: Callable[[], float]
    told: Callable[[str, str], None]
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def run(self, *, is_over: Callable[[], bool] = lambda: False) -> dict[str, int]:
        """Send until nothing is due, or it is over; each lease covers what was claimed."""
        tally = {"sent": 0, "retrying": 0, "failed": 0, "lease_lost": 0}
        while not is_over() and (due := self.outbox.claim(limit=SHARE, lease=LEASE)):
            self._share(due, tally, is_over)
        return tally

    def _share(
        self, due: Sequence[DueNotice], tally: dict[str, int], is_over: Callable[[], bool]
    ) -> None:
        for notice in due:
            if is_over():
                return
            result = self._one(notice)
            tally[result] += 1
            self.told(notice.kind.value, result)

    def _one(self, notice: DueNotice) -> str:
        path = PATHS.get(notice.kind)
        link = f"{self.public_url.rstrip('/')}/{path}/{notice.token}" if path else ""
        letter = write_letter(notice.kind, to=notice.address, account=notice.account, link=link)
        try:
            self.mailer.send(letter, id_=notice.id)
        except MailError as error:
            return self._failed(notice, error)
        return "sent" if self.outbox.sent(notice) else "lease_lost"

    def _failed(self, notice: DueNotice, error: MailError) -> str:
        tried = notice.attempts + 1
        verdict = decide_retry(policy=self.retry, attempts=tried, random=self.random)
        wait = None if error.is_final or isinstance(verdict, GiveUp) else verdict.wait
        if not self.outbox.failed(notice, str(error), wait):
            return "lease_lost"
        return "failed" if wait is None else "retrying"
