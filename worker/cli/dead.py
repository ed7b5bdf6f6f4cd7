"""`rosterd dead`: dead letters, and what an operator does about them."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

import typer
from rich.progress import Progress

from domain.errors import NothingFoundError, UsageError
from worker.adapters.db.event_queries import dead_groups, dead_letters, event_story, list_events
from worker.adapters.db.replaying import SQLReplays
from worker.cli.event import moment
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, err, out, show
from worker.cli.session import actor, container, reading, setup
from worker.services.replay import Prediction, Selection, Started

app = typer.Typer(no_args_is_help=True, help="Dead letters: see, group, replay, discard.")

Account = Annotated[str | None, typer.Option(help="Account by name or id.")]
Attached = Annotated[str | None, typer.Option("--connection", help="Connection by name or id.")]
ReasonCode = Annotated[str | None, typer.Option(help="Why they died, such as domain_not_allowed.")]
Fingerprint = Annotated[str | None, typer.Option()]
Type = Annotated[str | None, typer.Option("--type")]
Detail = Annotated[str | None, typer.Option(help="Text in the last error.")]
Since = Annotated[str | None, typer.Option(help="Time, or 10m, 2h, 3d ago.")]
Why = Annotated[str, typer.Option("--reason", help="For the audit.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Event ids, or d<ID> of a foreign message.")]


def _number(text: str) -> int:
    """An event's id, or minus the letter's for d<ID>."""
    is_foreign = text.startswith("d")
    digits = text[1:] if is_foreign else text
    if not digits.isdigit():
        raise UsageError(f"{text!r} is no id: a number, or d and a number")
    return -int(digits) if is_foreign else int(digits)


def _selection(
    ids: list[str] | None,
    account: str | None,
    connection: str | None,
    reason_code: str | None,
    fingerprint: str | None,
    type_: str | None,
    detail: str | None,
    since: str | None,
) -> Selection:
    numbers = tuple(_number(text) for text in ids or [])
    if any(number < 0 for number in numbers):
        raise UsageError("a foreign message is none of our events: it can be shown or discarded")
    with setup() as use:
        return Selection(
            ids=numbers,
            account=use.account(account)["id"] if account else None,
            connection=use.connection(connection)["id"] if connection else None,
            reason=reason_code,
            fingerprint=fingerprint,
            type=type_,
            detail=detail,
            since=moment(since),
        )


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one option per filter
    account: Account = None,
    connection: Attached = None,
    reason_code: ReasonCode = None,
    fingerprint: Fingerprint = None,
    type_: Type = None,
    detail: Detail = None,
    since: Since = None,
    state: Annotated[str, typer.Option(help="open, replayed or discarded")] = "open",
    limit: Annotated[int, typer.Option()] = 100,
    json_: AsJSON = False,
) -> None:
    """Oldest first."""
    wanted = _selection(None, account, connection, reason_code, fingerprint, type_, detail, since)
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
def show_(letter: str, json_: AsJSON = False) -> None:
    """One dead letter with its event's story."""
    number = _number(letter)
    with reading() as open_:
        if number > 0:
            story: dict[str, Any] = event_story(
                open_, number, vault=container().vault, with_body=False
            )
        else:
            found = dead_letters(open_, Selection(), state="open", limit=10_000)
            story = next((row for row in found if row["id"] == letter), {})
    if not story:
        raise NothingFoundError("dead letter", letter)
    if json_:
        print(as_json(story))
        return
    for key, value in story.items():
        if value not in (None, [], ""):
            out.print(f"{key:16} {value}", markup=False)


@app.command("replay")
def replay(  # noqa: PLR0913, PLR0917 - one option per filter
    ids: Ids = None,
    account: Account = None,
    connection: Attached = None,
    reason_code: ReasonCode = None,
    fingerprint: Fingerprint = None,
    type_: Type = None,
    detail: Detail = None,
    since: Since = None,
    reason: Why = "",
    rate: Annotated[str | None, typer.Option(help="20/s, 600/m; default: at once.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Annotated[float, typer.Option(help="Seconds to watch it; 0 to leave at once.")] = 60.0,
    cancel: Annotated[str | None, typer.Option(help="Cancel a replay by its id.")] = None,
    json_: AsJSON = False,
) -> None:
    """Try again, by the same rules as live traffic."""
    if cancel is not None:
        gone = SQLReplays(container().database).cancel(cancel, actor=actor())
        out.print(f"cancelled; {gone} events are dead again")
        return
    wanted = _selection(ids, account, connection, reason_code, fingerprint, type_, detail, since)
    use = container().replay
    if dry_run:
        _show_plan(use.predict(wanted), as_json_=json_)
        return
    if not reason.strip():
        raise UsageError("a replay needs a --reason for the audit")
    count = len(use.choose(wanted))
    if not json_:
        ask(f"replay {count} dead letters?", yes=yes or not out.is_terminal)
    started = use.start(wanted, actor=actor(), reason=reason, rate=rate)
    container().ringer.stop()
    outcomes = _watch(started, wait, is_quiet=json_)
    if json_:
        done = {"replay": started.id, "count": len(started.ids), "ids": started.ids, **outcomes}
        print(as_json(done))
        return
    told = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    out.print(f"replay {started.id}: {len(started.ids)} events; {told or 'under way'}")


def _show_plan(plan: list[Prediction], *, as_json_: bool) -> None:
    rows = [
        {
            "id": p.result.event.id,
            "type": p.result.event.type,
            "would_be": (p.result.outcome or p.result.state).value,
            "reason": p.result.reason.value if p.result.reason else "",
            "detail": p.result.detail,
            "superseded_by": p.result.superseded_by,
            "changes": "; ".join(
                f"{e.before.state.value + ' ' + e.before.email if e.before else 'nobody'}"
                f" -> {e.after.state.value} {e.after.email}"
                for e in p.effects
            ),
        }
        for p in plan
    ]
    show(rows, list(rows[0]), as_json_=as_json_)
    if not as_json_:
        counts = Counter(str(row["would_be"]) for row in rows)
        out.print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
        out.print("nothing was changed")


def _watch(started: Started, seconds: float, *, is_quiet: bool) -> dict[str, int]:
    """Watch until all have been tried; Ctrl-C leaves the replay running."""
    deadline = time.monotonic() + seconds
    outcomes: dict[str, int] = {}
    with Progress(console=err, disable=is_quiet or not err.is_terminal) as progress:
        bar = progress.add_task("replaying", total=len(started.ids))
        try:
            while time.monotonic() < deadline:
                outcomes, left = _progress(started)
                progress.update(bar, completed=len(started.ids) - left)
                if left == 0:
                    break
                time.sleep(0.2)
        except KeyboardInterrupt:
            out.print(f"it goes on; stop it with: rosterd dead replay --cancel {started.id}")
    return outcomes


def _progress(started: Started) -> tuple[dict[str, int], int]:
    with reading() as open_:
        rows = list_events(
            open_,
            equals={"replay_id": started.id},
            since=None,
            until=None,
            limit=len(started.ids),
        )
    counts = Counter(row["outcome"] or row["state"] for row in rows)
    left = sum(1 for row in rows if row["state"] in ("pending", "retrying"))
    return dict(counts), left


@app.command("discard")
def discard(ids: Ids, reason: Why, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Give dead letters up; they are kept, with the reason."""
    numbers = [_number(text) for text in ids or []]
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
    numbers = [_number(text) for text in ids or []]
    moved = SQLReplays(container().database).restore(numbers, actor=actor(), reason=reason)
    _insist(moved, "discarded dead letter", ids)
    out.print(f"restored {moved}")


def _insist(moved: int, what: str, ids: list[str] | None) -> None:
    if moved == 0:
        raise NothingFoundError(what, ", ".join(ids or []))
