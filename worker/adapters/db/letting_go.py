"""Groups of the account's own that no provider manages any more: their members stay (C7, G3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, delete

from domain.own_groups import OwnGroup
from worker.adapters.db import bulk
from worker.adapters.db.group_rows import own_members
from worker.adapters.db.membership import people_in


def let_go(connection: Connection, group: OwnGroup, now: datetime) -> int:
    """Whoever is a member stays one, by hand from now on; how many they are."""
    members = sorted(people_in(connection, replace(group, is_managed=True)))
    connection.execute(delete(own_members).where(own_members.c.group_id == group.id))
    new = [{"group_id": group.id, "person_id": one, "added_at": now} for one in members]
    bulk.insert(connection, own_members, new)
    return len(new)


def freed(connection: Connection, group: OwnGroup, now: datetime) -> OwnGroup:
    """What a retired connection managed, by hand from the first touch on."""
    let_go(connection, group, now)
    return replace(group, is_managed=False)
