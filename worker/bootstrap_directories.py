"""What a process needs to read identity providers' directories: clients, each made once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import structlog

from domain.directories import Directory, DirectoryError
from domain.errors import NothingFoundError, UsageError
from domain.inbox import Kind, Lane, Reason
from domain.ports import Result, Ringer
from domain.questions import Question
from worker import telemetry
from worker.adapters.db.directory_accesses import KeptAccess, SQLDirectoryAccesses
from worker.adapters.db.engine import Database
from worker.adapters.db.hydrating import SQLQuestions, retain_reads
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.vault import Vault
from worker.services.hydrate import Hydrate
from worker.settings import Settings


class DirectoryParts:
    """Clients by connection, for all threads: their tokens live as long as their access does."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        ringer: Ringer,
        settings: Settings,
        http: Callable[[], OutboundHTTP],
    ) -> None:
        self._database = database
        self._vault = vault
        self._ringer = ringer
        self._seconds = settings.directory_seconds
        self._accesses = SQLDirectoryAccesses(database, vault)
        self._http = http
        self._made: dict[str, tuple[KeptAccess, Directory]] = {}
        self._lock = threading.Lock()

    @cached_property
    def hydrate(self) -> Hydrate:
        """Questions to identity providers about one person or group."""
        return Hydrate(
            questions=SQLQuestions(self._database, self._vault),
            directory_of=self.of,
            ring=lambda kind, lane: self._ringer.ring(kind, lane, connection="", event_ids=()),
            random=random.random,
            told=_told,
            seconds=self._seconds,
        )

    def ring_due(self) -> None:
        """Let somebody ask what is due, if anything is."""
        if self.hydrate.questions.due():
            self._ring()

    def ring_for(self, results: Sequence[Result]) -> None:
        """The same right after a drain that has asked something."""
        if any(result.reason is Reason.READING for result in results):
            self._ring()

    def _ring(self) -> None:
        lane = Lane.STANDARD.value
        self._ringer.ring(Kind.HYDRATE, lane, connection="", event_ids=())

    def retain(self, *, days: int) -> dict[str, int]:
        """Let go of answers that nobody waits for."""
        return {"reads": retain_reads(self._database, days=days)}

    def of(self, connection: str) -> Directory | None:
        """The directory of a connection as its access is now; None where it has none.

        Raises DirectoryError where what was told makes no client any more.
        """
        kept = self._accesses.of(connection)
        with self._lock:
            if kept is None:
                self._made.pop(connection, None)
                return None
            known = self._made.get(connection)
            if known is None or known[0] != kept:
                known = (kept, self._client(kept))
                self._made[connection] = known
            return known[1]

    def check(self, connection: str) -> dict[str, Any]:
        """What one page of its people comes to; raises DirectoryError, NothingFoundError."""
        directory = self.of(connection)
        if directory is None:
            raise NothingFoundError("access to the directory of connection", connection)
        page = directory.people()
        return {
            "people": len(page.items),
            "is_all": page.after is None,
            "total": page.total,
            "at": page.at,
        }

    def _client(self, kept: KeptAccess) -> Directory:
        try:
            return directory_for(kept.access, self._http(), seconds=self._seconds)
        except UsageError as error:
            raise DirectoryError(str(error), needs_operator=True) from error


def _told(question: Question, result: str, why: str) -> None:
    """Count and log what became of a question; of whom it was is nobody's business."""
    telemetry.READS.labels(result).inc()
    log = structlog.get_logger("rosterd")
    fields = {"connection": question.connection, "what": question.what.value, "result": result}
    if why:
        log.warning("directory_read_failed", why=why, attempts=question.attempts + 1, **fields)
    else:
        log.info("directory_read", **fields)
