"""`rosterd dead`: dead letters, and what an operator does about them."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.errors import NothingFoundError
from worker.adapters.db.event_queries import dead_groups, dead_letters, event_story, foreign_story
from worker.adapters.db.replaying import SQLReplays
from worker.cli.dead_letters import (
    Account,
    Attached,
    Detail,
    Domain,
    Fingerprint,
    Ids,
    ReasonCode,
    Since,
    Type,
    Why,
    number_of,
    selection_of,
)
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show
from worker.cli.replay import replay
from worker.cli.session import actor, container, reading

app = typer.Typer(no_args_is_help=True, help="Dead letters: see, group, replay, discard.")
app.command("replay")(replay)


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one option per filter
    account: Account = None,
    connection: Attached = None,
    reason_code: ReasonCode = None,
    fingerprint: Fingerprint = None,
    type_: Type = None,
    detail: Detail = None,
    domain: Domain = None,
    since: Since = None,
    state: Annotated[str, typer.Option(help="open, replayed or discarded")] = "open",
    limit: Annotated[int, typer.Option()] = 100,
    json_: AsJSON = False,
) -> None:
    """Oldest first."""
    wanted = selection_of(
        None, account, connection, reason_code, fingerprint, type_, detail, since, domain
    )
    with reading() as open_:
        rows = dead_letters(open_, wanted, state=state, limit=limit)
    columns = ["id", "last_at", "reason", "type", "subject", "attempts", "last_error"]
    show(rows, columns, as_json_=json_)


@app.command("groups")
def groups(json_: AsJSON = False) -> None:
    """Open ones by cause, the largest group first."""
    with reading() as open_:
        rows = dead_groups(open_)
    show(rows, ["count", "fingerprint", "first_at", "last_at", "example"], as_json_=json_)


@app.command("show")
def show_(
    letter: str,
    body: Annotated[bool, typer.Option("--body", help="With what was received.")] = False,
    json_: AsJSON = False,
) -> None:
    """One dead letter with its event's story."""
    number, vault = number_of(letter), container().vault
    with reading() as open_:
        story = (
            event_story(open_, number, vault=vault, with_body=body)
            if number > 0
            else foreign_story(open_, -number, vault=vault, with_body=body)
        )
    if json_:
        print(as_json(story))
        return
    for key, value in story.items():
        if value not in (None, [], ""):
            out.print(f"{key:16} {value}", markup=False)


@app.command("discard")
def discard(ids: Ids, reason: Why, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Give dead letters up; they are kept, with the reason."""
    numbers = [number_of(text) for text in ids or []]
    if dry_run:
        out.print(f"would discard {len(numbers)}")
        return
    ask(f"discard {len(numbers)} dead letters?", yes=yes or not out.is_terminal)
    moved = SQLReplays(container().database).discard(numbers, actor=actor(), reason=reason)
    _insist(moved, "open dead letter", ids)
    out.print(f"discarded {moved}")


@app.command("restore")
def restore(ids: Ids, reason: Why) -> None:
    """Take a discard back."""
    numbers = [number_of(text) for text in ids or []]
    moved = SQLReplays(container().database).restore(numbers, actor=actor(), reason=reason)
    _insist(moved, "discarded dead letter", ids)
    out.print(f"restored {moved}")


def _insist(moved: int, what: str, ids: list[str] | None) -> None:
    if moved == 0:
        raise NothingFoundError(what, ", ".join(ids or []))
