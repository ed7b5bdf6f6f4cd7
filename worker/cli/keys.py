"""`rosterd keys`: what secrets and bodies are sealed with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import typer

from domain.errors import RefusedError
from worker.adapters.db.sealed import Walked, renew_all
from worker.adapters.vault import new_key
from worker.cli.output import AsJSON, as_json, out
from worker.cli.session import container, setup

app = typer.Typer(no_args_is_help=True)

#: Of rows that no key opens so many are named.
NAMED = 10


@app.command("new")
def new() -> None:
    """A key for ROSTERD_SECRET_KEYS; it is shown once and kept nowhere."""
    print(new_key())


@app.command("rotate")
def rotate(json_: AsJSON = False) -> None:
    """Seal everything anew with the first key; afterwards the others can go. Repeat at will."""
    parts = container()
    counts, unreadable = summed(renew_all(parts.database, parts.vault), "renewed")
    with setup() as use:
        use.audit(None, "keys.rotate", "", after={**counts, "unreadable": len(unreadable)})
    if json_:
        print(as_json({"renewed": counts, "unreadable": unreadable}))
    else:
        out.print(f"sealed anew: {told(counts)}")
    refuse_unreadable(unreadable)
    if not json_:
        out.print("only the first key is needed now; take the others away and restart")


def summed(walked: Iterable[Walked], what: str) -> tuple[dict[str, int], list[str]]:
    """Rows by table, and those that no key opens."""
    counts: Counter[str] = Counter()
    unreadable: list[str] = []
    for batch in walked:
        counts[batch.table] += getattr(batch, what)
        unreadable += [f"{batch.table} {id_}" for id_ in batch.unreadable]
    return dict(counts), unreadable


def told(counts: dict[str, int]) -> str:
    """Rows by table, for people."""
    return ", ".join(f"{table} {count:,}" for table, count in counts.items()) or "nothing"


def refuse_unreadable(unreadable: list[str]) -> None:
    """Raises RefusedError that names them."""
    if not unreadable:
        return
    more = f" and {len(unreadable) - NAMED:,} more" if len(unreadable) > NAMED else ""
    raise RefusedError(
        f"no key here opens {', '.join(unreadable[:NAMED])}{more}: add the key that sealed them "
        "to ROSTERD_SECRET_KEYS and run this again"
    )
