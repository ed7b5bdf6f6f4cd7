"""`rosterd audit`: who did what to whom, why."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from domain.looking import AuditFilter, subjects_of
from worker.cli.event import moment, newest
from worker.cli.options import Limit
from worker.cli.output import AsJSON, show
from worker.cli.session import container, narrowed

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one option per filter
    account: Annotated[str | None, typer.Option()] = None,
    actor: Annotated[str | None, typer.Option(help="Such as cli:ana or token:tok_..")] = None,
    action: Annotated[str | None, typer.Option(help="Such as connection.paused.")] = None,
    subject: Annotated[str | None, typer.Option(help="Id of what was changed.")] = None,
    since: Annotated[str | None, typer.Option(help="Time, or 10m, 2h, 3d ago.")] = None,
    until: Annotated[str | None, typer.Option()] = None,
    events: Annotated[
        bool, typer.Option("--events", help="What events changed, too, not only people.")
    ] = False,
    limit: Limit = 50,
    json_: AsJSON = False,
) -> None:
    """Newest first."""
    owner, _ = narrowed(account, None)
    wanted = AuditFilter(
        accounts=frozenset({owner}) if owner is not None else None,
        subjects=subjects_of(subject),
        actor=actor,
        action=action,
        since=moment(since),
        until=moment(until),
        with_events=events or subject is not None,
    )
    rows = newest(partial(container().readings.audit.page, wanted), limit=limit)
    show(rows, ["id", "at", "actor", "action", "subject", "reason"], as_json_=json_)
