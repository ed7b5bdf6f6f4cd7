"""What operators look at, joined to the database: one reading for command line, API and console."""

from __future__ import annotations

from functools import cached_property

from worker.adapters.db.audit_pages import SQLAudit
from worker.adapters.db.engine import Database
from worker.adapters.db.event_pages import SQLEvents
from worker.adapters.vault import Vault


class Readings:
    """Readings of one process, each built when it is first asked for."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    @cached_property
    def events(self) -> SQLEvents:
        """What came in, and what became of it."""
        return SQLEvents(self._database, self._vault)

    @cached_property
    def audit(self) -> SQLAudit:
        """Who did what to whom."""
        return SQLAudit(self._database)
