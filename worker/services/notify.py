"""Send what is due to members: short claim with a lease, send, short finish with a fence (D6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from domain.letters import About, Letter, write_letter
from domain.notices import DueNotice, Hook, Mailer, MailError, Outbox
from domain.retry import GiveUp, RetryPolicy, decide_retry
from domain.wording import MAILS

#: Notices under one lease; few, so that a slow mail server holds few of them.
SHARE = 20
#: The same, while a mail takes less than `PROMPT_SECONDS`: a claim costs what ten mails do.
PROMPT_SHARE, PROMPT_SECONDS = 100, 0.01
LEASE = timedelta(minutes=5)
#: Mails that follow each other this closely are noted together: a commit is a third of what a
#: mail costs.
UNNOTED_SECONDS = 0.1
#: No mail is in hand for longer: a mailer gives up before. None is begun with less of its lease.
LONGEST = timedelta(minutes=2)
#: Three days or so: greylisting wants minutes, a full mailbox or a broken server days (RFC 5321,
#: 4.5.4.1).
MAIL_RETRY = RetryPolicy(max_attempts=150, base=timedelta(seconds=60), cap=timedelta(hours=1))
#: A server that is away says nothing about a mail: it is tried until its link has expired.
SERVER_RETRY = RetryPolicy(
    max_attempts=1_000_000, base=timedelta(seconds=10), cap=timedelta(minutes=10)
)


class _Handed:
    """Mails that the server has and the outbox does not know of yet.

    Whoever is killed sends these once more, under the same Message-ID: few, and not for long.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._notices: list[DueNotice] = []
        self._first = 0.0

    def add(self, notice: DueNotice) -> None:
        """The server has it."""
        if not self._notices:
            self._first = self._monotonic()
        self._notices.append(notice)

    def is_time(self) -> bool:
        """Whether the outbox is to hear of them."""
        return bool(self._notices) and self._monotonic() - self._first >= UNNOTED_SECONDS

    def taken(self) -> list[DueNotice]:
        """All of them; none is left."""
        taken, self._notices = self._notices, []
        return taken


@dataclass(frozen=True, slots=True)
class Notify:
    """One pass over the mails that are due. monotonic: seconds of a clock that never goes back."""

    outbox: Outbox
    mailer: Mailer
    public_url: str
    random: Callable[[], float]
    told: Callable[[str, str], None]
    monotonic: Callable[[], float]
    hook: Hook | None = None
    retry: RetryPolicy = field(default_factory=lambda: MAIL_RETRY)

    def run(self, *, is_over: Callable[[], bool] = lambda: False) -> dict[str, int]:
        """Send until nothing is due, the server fails us, or it is over."""
        tally = {"sent": 0, "retrying": 0, "failed": 0, "lease_lost": 0}
        try:
            self._send_all(tally, is_over)
        finally:
            self.mailer.rest()
        return tally

    def _send_all(self, tally: dict[str, int], is_over: Callable[[], bool]) -> None:
        is_served, share = True, SHARE
        while is_served and not is_over():
            # Before the claim, so that what is left of the lease is never taken for more.
            began = self.monotonic()
            until = began + (LEASE - LONGEST).total_seconds()
            due = self.outbox.claim(limit=share, lease=LEASE)
            if not due:
                break
            is_served = self._share(due, tally, self._ended(is_over, until))
            is_prompt = self.monotonic() - began < PROMPT_SECONDS * len(due)
            share = PROMPT_SHARE if is_prompt else SHARE

    def _ended(self, is_over: Callable[[], bool], until: float) -> Callable[[], bool]:
        return lambda: is_over() or self.monotonic() > until

    def _share(
        self, due: Sequence[DueNotice], tally: dict[str, int], is_over: Callable[[], bool]
    ) -> bool:
        """Send what the lease covers, give the rest back; whether the server is there."""
        handed = _Handed(self.monotonic)
        try:
            for place, notice in enumerate(due):
                if is_over():
                    self.outbox.release(list(due[place:]))
                    return True
                if not self._one(notice, handed, tally):
                    self.outbox.release(list(due[place + 1 :]))
                    return False
                if handed.is_time():
                    self._note(handed, tally)
            return True
        finally:
            self._note(handed, tally)

    def _one(self, notice: DueNotice, handed: _Handed, tally: dict[str, int]) -> bool:
        """Send one; whether the server is there."""
        try:
            self._send(notice)
        except MailError as error:
            result = self._failed(notice, error)
            tally[result] += 1
            self.told(notice.kind.value, "unreachable" if error.is_server else result)
            return not error.is_server
        handed.add(notice)
        return True

    def _note(self, handed: _Handed, tally: dict[str, int]) -> None:
        """What the server has is done, in one transaction."""
        notices = handed.taken()
        kept = self.outbox.sent(notices) if notices else frozenset()
        for notice in notices:
            result = "sent" if notice.id in kept else "lease_lost"
            tally[result] += 1
            self.told(notice.kind.value, result)

    def _send(self, notice: DueNotice) -> None:
        if not notice.is_hook:
            self.mailer.send(self._letter(notice), id_=notice.id)
        elif self.hook is None:
            raise MailError("ROSTERD_ALERT_WEBHOOK_URL is not set any more", is_final=True)
        else:
            self.hook.send(notice)

    def _letter(self, notice: DueNotice) -> Letter:
        start = self.public_url.rstrip("/")
        page = MAILS[notice.kind].page
        about = About(
            to=notice.address,
            account=notice.account,
            link=f"{start}/{page}/{notice.token}" if page is not None else f"{start}/",
            name=notice.name,
            expires_at=notice.expires_at,
            headline=notice.headline,
            details=notice.details,
        )
        return write_letter(notice.kind, about, notice.wording)

    def _failed(self, notice: DueNotice, error: MailError) -> str:
        tried = notice.attempts + 1
        policy = SERVER_RETRY if error.is_server else self.retry
        verdict = decide_retry(policy=policy, attempts=tried, random=self.random)
        is_refused = error.is_final or isinstance(verdict, GiveUp)
        wait = None if is_refused or isinstance(verdict, GiveUp) else verdict.wait
        if not self.outbox.failed(notice, str(error), wait, is_refused=is_refused):
            return "lease_lost"
        return "failed" if wait is None else "retrying"
