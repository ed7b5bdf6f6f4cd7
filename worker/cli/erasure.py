"""`rosterd erasure`: proofs that somebody was deleted for good (U5)."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.adapters.db.proving import erasures_page, one_erasure
from worker.adapters.db.verifying import verify
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.progress import progress
from worker.cli.session import container, narrowed, reading

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    account: Annotated[str | None, typer.Option(help="Account by name or id.")] = None,
    person: Annotated[str | None, typer.Option(help="Id that the person had.")] = None,
    json_: AsJSON = False,
) -> None:
    """Who was deleted, by the ids that they had, by whom, when and why."""
    owner, _ = narrowed(account, None)
    accounts = None if owner is None else frozenset({owner})
    found: list[dict[str, object]] = []
    with reading() as connection:
        while page := erasures_page(
            connection, accounts, after=str(found[-1]["id"]) if found else "", person=person
        ):
            found += page
    show(found, ["id", "made_at", "person", "actor", "reason"], as_json_=json_)


@app.command("show")
def show_(erasure: str, json_: AsJSON = False) -> None:
    """A proof: what was deleted, emptied or sealed anew in which table, and what is kept."""
    with reading() as connection:
        found = one_erasure(connection, erasure)
    if json_:
        print(as_json(found))
        return
    out.print(f"{found['id']}: {found['person']} of {found['account']}, {found['made_at']}")
    out.print(f"by {found['actor']}: {found['reason']}")
    for table, done in found["tables"].items():
        told = ", ".join(f"{count:,} {what}" for what, count in done.items())
        out.print(f"    {table:20} {told}")
    out.print(f"kept: tombstones {', '.join(found['tombstones'])}")
    out.print("      the audit's who, what and when, without what it showed of the person")


@app.command("verify")
def verify_(erasure: str, json_: AsJSON = False) -> None:
    """Search the account's rows for what must not be there; exit code 1 where something is.

    Bodies and secrets are opened for it. Nobody has to say whom to look for: the proof knows by
    digests.
    """
    with reading() as connection, progress("searching", unit="rows", is_quiet=json_) as done:
        found = verify(connection, container().vault, erasure, lambda _table, rows: done(rows))
    if json_:
        print(as_json(found.as_dict()))
    else:
        out.print(f"{found.rows:,} rows of {found.tables} tables searched")
        for place, count in found.again.items():
            out.print(f"came back since by something newer (D16): {count} in {place}")
        for place, count in found.left.items():
            out.print(f"left: {count} in {place}")
        if found.unreadable:
            out.print(f"{found.unreadable} sealed values could not be opened: no key fits them")
        out.print("nothing is left" if found.holds else "the deletion is not complete")
    if not found.holds:
        raise typer.Exit(1)
