"""Answer SCIM requests whose senders did not want to wait (RFC 9967).

Each operation is applied by the same use case as one that is waited for, and says in the same
transaction that it was: so a request whose worker died is taken up where it was left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.later import LaterRequest, LaterStore, PostponedError
from domain.ports import InfrastructureError

#: Longer than the largest bulk request takes.
LEASE = timedelta(minutes=10)
#: A database that could not be reached may be there again.
_SOON = timedelta(seconds=5)

Perform = Callable[[LaterRequest], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class AnswerLater:
    """The use case. perform: does what a request asks, and gives the answer of each operation.

    failed: the answer to a request that a fault of ours keeps from being done.
    """

    store: LaterStore
    perform: Perform
    failed: Perform
    report: Callable[[str, Mapping[str, object]], None]
    monotonic: Callable[[], float]

    def run(self, *, budget: timedelta) -> tuple[int, bool]:
        """Answer what is due until the budget is used; how many, and whether more may be due."""
        until = self.monotonic() + budget.total_seconds()
        count = 0
        while True:
            request = self.store.claim(lease=LEASE)
            if request is None:
                return count, False
            self._one(request)
            count += 1
            if self.monotonic() > until:
                return count, True

    def _one(self, request: LaterRequest) -> None:
        try:
            answers = self.perform(request)
        except PostponedError as postponed:
            self.store.postponed(request, postponed.wait)
            return
        except InfrastructureError:
            self.store.postponed(request, _SOON)
            raise
        except Exception as error:  # noqa: BLE001 - a bug is told, and holds up no other request
            self.report("scim_request_failed", {"request": request.id, "why": type(error).__name__})
            answers = self.failed(request)
        if not self.store.answered(request, answers):
            self.report("scim_lease_lost", {"request": request.id})
