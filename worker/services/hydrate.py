"""Ask IdPs what events do not say: short claim with a lease, ask, short finish with a fence (D6).

No transaction is open while an IdP is asked. One that gives no answer rests, and with it only its
own connection; what waits for it uses up no attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from domain.directories import Directory, DirectoryError, Found, Read, UnaskableError
from domain.hydration import What, pair_of
from domain.inbox import Kind
from domain.questions import Later, Question, Questions, Rest, pause_after, rest_after

#: So much longer than a request may take is a lease: the database may be slow, too.
SLACK = timedelta(seconds=20)

#: What became of a question: `found`, `gone`, `unanswered`, `lease_lost`.
Told = Callable[[Question, str, str], None]


@dataclass(frozen=True, slots=True)
class Hydrate:
    """The use case. seconds: what one request may take. told: hears of each, and why it failed."""

    questions: Questions
    directory_of: Callable[[str], Directory | None]
    ring: Callable[[Kind, str], None]
    random: Callable[[], float]
    told: Told
    seconds: float

    def run(self) -> dict[str, int]:
        """All that may be asked now, one by one; for a process without threads for it."""
        tally: dict[str, int] = {}
        asked = True
        while asked:
            asked = False
            for connection in self.questions.due():
                asked = self._asked(connection, tally) or asked
        return tally

    def _asked(self, connection: str, tally: dict[str, int]) -> bool:
        result = self.one(connection)
        if not isinstance(result, str):
            return False
        tally[result] = tally.get(result, 0) + 1
        return True

    def one(self, connection: str) -> str | Later | None:
        """Ask one question of this connection: what became of it. None: there is none to ask."""
        # A token may have to be fetched first, and a request be made again with a new one.
        lease = SLACK + 4 * timedelta(seconds=self.seconds)
        question = self.questions.claim(connection, lease=lease)
        if not isinstance(question, Question):
            return question
        result, why = self._answer(question)
        self.told(question, result, why)
        return result

    def _answer(self, question: Question) -> tuple[str, str]:
        try:
            read = self._read(question)
        except DirectoryError as error:
            return self._put_off(question, error), str(error)
        rung = self.questions.answered(question, read)
        if rung is None:
            return "lease_lost", ""
        for kind, lane in rung:
            self.ring(kind, lane.value)
        return "gone" if read.found is None else "found", ""

    def _read(self, question: Question) -> Read[Found]:
        directory = self.directory_of(question.connection)
        if directory is None:
            raise DirectoryError("access was taken away", needs_operator=True)
        match question.what:
            case What.GROUP | What.GROUP_AT:
                return directory.group(question.key)
            case What.MEMBERSHIP | What.MEMBERSHIP_AT:
                return directory.membership(*pair_of(question.key))
            case What.PERSON | What.PERSON_AT:
                return directory.person(question.key)

    def _put_off(self, question: Question, error: DirectoryError) -> str:
        # Whoever knows a hook's secret can name what is no id: the IdP goes on being asked.
        rest = None if isinstance(error, UnaskableError) else self._rest(error)
        wait = pause_after(question.attempts + 1, self.random)
        is_mine = self.questions.unanswered(question, str(error), wait=wait, rest=rest)
        return "unanswered" if is_mine else "lease_lost"

    def _rest(self, error: DirectoryError) -> Rest:
        return rest_after(
            retry_after=error.retry_after, needs_operator=error.needs_operator, random=self.random
        )
