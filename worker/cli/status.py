"""`rosterd status`: the status page in a terminal."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from domain.display import with_escapes
from worker.adapters.db.gauges import Snapshot
from worker.adapters.db.narrowing import state_of
from worker.cli import warnings
from worker.cli.output import AsJSON, as_json, out
from worker.cli.session import container, narrowed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("status")
    def status(
        watch: Annotated[bool, typer.Option("--watch", help="Until Ctrl-C.")] = False,
        account: Annotated[
            str | None, typer.Option(help="This account and its children only (C4).")
        ] = None,
        json_: AsJSON = False,
    ) -> None:
        """Per lane and connection: backlog, oldest age, retrying, waiting, held, dead."""
        owner = narrowed(account, None)[0]
        if json_:
            print(as_json(asdict(_state(owner))))
        elif watch:
            _watch(owner)
        else:
            out.print(_view(_state(owner)))


def _state(account: str | None) -> Snapshot:
    parts = container()
    return state_of(parts.database, parts.gauges, account)


def _watch(account: str | None) -> None:
    try:
        with Live(_view(_state(account)), console=out, refresh_per_second=2) as live:
            while True:
                time.sleep(1)
                live.update(_view(_state(account)))
    except KeyboardInterrupt:
        return


def _view(snapshot: Snapshot) -> Group:
    titles = ("lane", "account", "connection", "state", "events", "oldest")
    table = Table(*titles, box=None, pad_edge=False)
    for row in sorted(snapshot.backlog, key=lambda b: (b.lane, b.account, b.connection, b.state)):
        told = (row.lane, row.account, row.connection, row.state)
        table.add_row(*told, str(row.count), f"{row.oldest:.0f} s")
    late = max(snapshot.suspensions.values(), default=0.0)
    suspension = f"oldest unapplied suspension: {late:.0f} s"
    counts = (
        f"to apply {snapshot.count('pending', 'retrying')}   waiting {snapshot.count('waiting')}   "
        f"held {snapshot.count('held')}   dead {snapshot.count('dead')}   "
        f"workers {snapshot.workers}"
    )
    lines = [
        counts,
        suspension if snapshot.suspensions else "no suspension waits",
    ]
    lines += [
        f"{one.account}/{one.connection} is {state}: what comes is held"
        for one in snapshot.connections
        if (state := snapshot.states.get(one.connection_id)) in ("paused", "observing")
    ]
    lines += [
        f"{one.account}/{one.connection}: the breaker holds what it takes away: rosterd hold list"
        for one in snapshot.connections
        if one.connection_id in snapshot.tripped
    ]
    lines += [
        f"{one.account}/{one.connection} is not backfilled: it knows whom it heard of since"
        for one in snapshot.connections
        if one.connection_id not in snapshot.backfilled
        and snapshot.states.get(one.connection_id) != "retired"
    ]
    heard = [
        f"{h.account}/{h.connection} ({h.source}) last heard {h.at:%Y-%m-%d %H:%M:%S} UTC"
        if h.at
        else f"{h.account}/{h.connection} ({h.source}) never heard"
        for h in snapshot.heard
    ]
    warned = [
        *(warnings.silent(h, snapshot.at) for h in snapshot.heard if h.is_silent(snapshot.at)),
        *(warnings.expires(one, snapshot.at) for one in snapshot.expiring),
        *warnings.standing(snapshot),
    ]
    yellow = (Text(with_escapes(text), style="yellow") for text in warned)
    return Group(*lines, table, *heard, *yellow)
