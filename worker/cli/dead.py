"""`rosterd dead`: dead letters, and what an operator does about them."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.replays import DeadGroup, LetterState
from worker.adapters.db.dead_queries import (
    dead_group,
    dead_groups,
    letters_page,
    newest_letters,
    notes_on,
    one_letter,
)
from worker.adapters.db.event_queries import event_story, foreign_story
from worker.cli.dead_letters import (
    Account,
    Attached,
    Detail,
    Domain,
    Fingerprint,
    Ids,
    OfCause,
    ReasonCode,
    Since,
    Type,
    number_of,
    selection_of,
)
from worker.cli.dead_replay import replay
from worker.cli.options import Limit, word
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show, tell_one
from worker.cli.reasons import Why
from worker.cli.session import asker, container, narrowed, reading

app = typer.Typer(no_args_is_help=True)
app.command("replay")(replay)
#: A day of letters in one line: how many came to be in each hour.
BARS = " .:-=+*#%@"


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
    cause: OfCause = None,
    state: Annotated[LetterState, word(LetterState, "--state")] = LetterState.OPEN,
    limit: Limit = 100,
    json_: AsJSON = False,
) -> None:
    """Oldest first."""
    wanted = selection_of(
        None, account, connection, reason_code, fingerprint, type_, detail, since, domain
    )
    with reading() as open_:
        rows, _ = letters_page(open_, wanted, state=state, cause=cause, limit=limit)
    columns = ["id", "last_at", "reason", "type", "subject", "attempts", "last_error"]
    show(rows, columns, as_json_=json_)


@app.command("groups")
def groups(
    fingerprint: Annotated[str | None, typer.Argument(help="One, with examples and notes.")] = None,
    account: Account = None,
    cause: OfCause = None,
    json_: AsJSON = False,
) -> None:
    """Open ones by cause, the largest group first."""
    within = asker(narrowed(account, None)[0]).accounts
    if fingerprint is not None:
        _show_group(fingerprint, within, account, json_=json_)
        return
    with reading() as open_:
        found = dead_groups(open_, within=within, cause=cause)
    rows = [group.as_dict() if json_ else _as_row(group) for group in found]
    columns = ["count", "fingerprint", "cause", "day", "first_at", "last_at", "example", "notes"]
    show(rows, columns, as_json_=json_)


def _as_row(group: DeadGroup) -> dict[str, object]:
    return {**group.as_dict(), "day": _drawn(group.trend)}


def _drawn(trend: tuple[int, ...]) -> str:
    most = max(trend, default=0)
    return "".join(BARS[-(-count * (len(BARS) - 1) // most) if most else 0] for count in trend)


def _show_group(
    fingerprint: str, within: frozenset[str] | None, account: str | None, *, json_: bool
) -> None:
    with reading() as open_:
        group = dead_group(open_, fingerprint, within=within)
        examples = newest_letters(open_, fingerprint, within=within)
        notes = notes_on(open_, fingerprint, within=within)
    told = [{"at": note.at, "actor": note.actor, "text": note.text} for note in notes]
    if json_:
        print(as_json({**group.as_dict(), "examples": examples, "notes": told}))
        return
    tell_one(_as_row(group), leaves_out={"trend", "notes"})
    columns = ["id", "last_at", "type", "subject", "attempts", "last_error"]
    show(examples, columns, as_json_=False)
    for note in notes:
        out.print(f"{note.at:%Y-%m-%d %H:%M} {note.actor}: {note.text}")
    of = f" --account {account}" if account is not None else ""
    out.print(f"to try again: rosterd dead replay --fingerprint '{fingerprint}'{of} --dry-run")


@app.command("note")
def note(
    fingerprint: Annotated[str, typer.Argument(help="Of a group, as `dead groups` shows it.")],
    text: Annotated[str, typer.Argument(help="What the next operator should know.")],
    account: Account = None,
) -> None:
    """Write something on a group, for whoever looks at it next."""
    owner, _ = narrowed(account, None)
    notes = container().replays.notes.add(fingerprint, text, asker(owner))
    out.print(f"noted; {len(notes)} on this group")


@app.command("show")
def show_(
    letter: str,
    body: Annotated[bool, typer.Option("--body", help="With what was received.")] = False,
    json_: AsJSON = False,
) -> None:
    """One dead letter with its event's story."""
    number, vault = number_of(letter), container().vault
    with reading() as open_:
        one_letter(open_, number)
        story = (
            event_story(open_, number, vault=vault, with_body=body)
            if number > 0
            else foreign_story(open_, -number, vault=vault, with_body=body)
        )
    if json_:
        print(as_json(story))
        return
    tell_one(story)


@app.command("discard")
def discard(
    ids: Ids, reason: Why, account: Account = None, yes: Yes = False, dry_run: DryRun = False
) -> None:
    """Give dead letters up; they are kept, with the reason."""
    numbers = [number_of(text) for text in ids or []]
    if dry_run:
        out.print(f"would discard {len(numbers)}")
        return
    ask(f"discard {len(numbers)} dead letters?", yes=yes)
    who = asker(narrowed(account, None)[0])
    moved = container().replays.discards.discard(numbers, who, reason=reason)
    out.print(f"discarded {len(moved)}")


@app.command("restore")
def restore(ids: Ids, reason: Why, account: Account = None) -> None:
    """Take a discard back."""
    numbers = [number_of(text) for text in ids or []]
    who = asker(narrowed(account, None)[0])
    moved = container().replays.discards.restore(numbers, who, reason=reason)
    out.print(f"restored {len(moved)}")
