"""Settings of a connection in SQL: read, changed, each change with before and after (D18)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from worker.adapters.db import rows
from worker.adapters.db.setup_part import SetupPart


def settings_of(connection: Mapping[str, Any]) -> dict[str, str]:
    """What was set of a row of `connections`; what is missing is as by default."""
    told: dict[str, str] = json.loads(connection["settings"])
    return told


class SettingSetup(SetupPart):
    """Changing what a connection was told when it was added."""

    def change_settings(
        self, connection: Mapping[str, Any], changed: Mapping[str, str], *, reason: str
    ) -> dict[str, str]:
        """Set these; what they were before. They count from the next event on."""
        before = settings_of(connection)
        after = {**before, **changed}
        table = rows.connections
        self.sql.execute(
            update(table)
            .where(table.c.id == connection["id"])
            .values(settings=json.dumps(after, sort_keys=True))
        )
        self.audit(
            connection["account_id"],
            "connection.set",
            connection["id"],
            reason=reason,
            before=before,
            after=after,
        )
        return before
