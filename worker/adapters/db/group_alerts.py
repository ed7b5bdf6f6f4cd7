"""What operators are told of groups: who may open private spaces (G4), what dropped out (G3)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from domain.own_groups import OwnGroup, Permission
from worker.adapters.db.alerts import settle_alert, tell_operators
from worker.adapters.db.membership import holders_of

OPENERS, DROPPED = "group.private_space", "group.drop_out"


def tell_of_drop_out(connection: Connection, group: OwnGroup, now: datetime) -> None:
    """G3: a managed group was given a protecting permission, and left management by it."""
    held = ", ".join(sorted(group.permissions))
    tell_operators(
        connection,
        now,
        topic=DROPPED,
        subject=group.id,
        headline=f"group {group.name!r} dropped out of management",
        details=[
            f"it holds {held}; whoever was a member is one by hand from now on",
            f"its provider's words end as protected_group: `rosterd group show {group.id}`",
        ],
        account=group.account,
        is_urgent=True,
    )


def tell_of_openers(connection: Connection, account: str, now: datetime) -> None:
    """G4: a warning that stands for as long as anybody may open private spaces."""
    count = len(holders_of(connection, Permission.OPEN_PRIVATE_SPACE, account))
    if not count:
        settle_alert(connection, topic=OPENERS, subject=account, account=account)
        return
    tell_operators(
        connection,
        now,
        topic=OPENERS,
        subject=account,
        headline=f"{count} may open the private space of people who have not accepted",
        details=['normally nobody may: `rosterd group member remove "Provision Managers" ..`'],
        account=account,
    )
