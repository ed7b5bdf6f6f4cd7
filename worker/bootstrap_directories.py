"""What a process needs to read identity providers' directories: clients, each made once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from domain.directories import Directory, DirectoryError
from domain.errors import NothingFoundError, UsageError
from worker.adapters.db.directory_accesses import KeptAccess, SQLDirectoryAccesses
from worker.adapters.db.engine import Database
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.vault import Vault


class DirectoryParts:
    """Clients by connection, for all threads: their tokens live as long as their access does."""

    def __init__(
        self, database: Database, vault: Vault, http: Callable[[], OutboundHTTP], seconds: float
    ) -> None:
        """seconds: what one request may take."""
        self._seconds = seconds
        self._accesses = SQLDirectoryAccesses(database, vault)
        self._http = http
        self._made: dict[str, tuple[KeptAccess, Directory]] = {}
        self._lock = threading.Lock()

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
