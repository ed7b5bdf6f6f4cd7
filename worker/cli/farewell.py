"""What retiring a connection means (C7), for whoever is about to do it."""

from __future__ import annotations

from worker.adapters.db.retiring import Farewell
from worker.cli.output import out


def tell_farewell(name: str, told: Farewell, *, dry_run: bool) -> None:
    """What ends with a connection, and what stays."""
    out.print(
        f"retiring {name}{', a dry run: nothing is changed' if dry_run else ''}", markup=False
    )
    for text in (
        f"{told.people} people leave management as they are: nobody is suspended, nobody is mailed",
        f"{told.invitations} open invitations stay valid",
        f"{told.pending} addresses that wait for confirmation lapse",
        f"{told.groups} groups become unmanaged, their memberships stay",
        f"{told.events} events that are not applied yet end as ignored (retired)",
        f"{told.letters} open dead letters stay, to be read or discarded",
        f"{told.credentials} credentials die at once; who was whom is kept: `rosterd links export`",
    ):
        out.print(f"  {text}", markup=False)
