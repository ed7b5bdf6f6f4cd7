"""`rosterd links`, `connection replace`, `user move`, `group move`: who is whom where (C1)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.keys import group_known_as
from domain.moving import NOBODY, UNCHANGED, Verdict, Wanted
from worker.adapters.db.retiring import Farewell
from worker.adapters.db.setup import SQLSetup
from worker.adapters.db.taking_over import Taking
from worker.adapters.links_file import read_links
from worker.cli.by_hand import Account, Who
from worker.cli.farewell import tell_farewell
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out
from worker.cli.reasons import Reason, Why
from worker.cli.session import person_named, setup

app = typer.Typer(no_args_is_help=True)

MAPS = ("email", "file", "same")


@app.command("export")
def export(connection: str) -> None:
    """JSON Lines: users, then groups; of a retired connection, too."""
    with setup() as use:
        for line in use.links(use.connection(connection)["id"]):
            sys.stdout.write(as_json(line) + "\n")


@app.command("import")
def import_(
    connection: str,
    file: Path,
    reason: Reason = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """Link people who are nobody's to external ids; lines that cannot be are left out."""
    _insist_reason(reason, dry_run=dry_run)
    wanted, unreadable = _read(file)
    if not dry_run:
        ask(f"link {len(wanted)} lines to {connection}?", yes=yes)
    with setup() as use:
        found = use.connection(connection)
        retired = use.retired_of(found["account_id"])
        verdicts = use.take_over(Taking(found, retired, retired, reason), wanted)
        if dry_run:
            use.sql.rollback()
    _tell([*unreadable, *verdicts], dry_run=dry_run, as_json_=json_)


def replace(  # noqa: PLR0913, PLR0917 - one option per choice
    old: str,
    new: str,
    reason: Reason = "",
    map_: Annotated[str, typer.Option("--map", help="email, file or same.")] = "email",
    file: Annotated[Path | None, typer.Option(help="Lines as `links export` writes them.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Though lines conflict.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """Take all people of OLD over to NEW without inviting anybody, and retire OLD (C1, C7).

    email: NEW links people by their address at first contact. file: as its lines say, the others
    by address. same: NEW gives the same ids to the same people and groups.
    """
    _insist_reason(reason, dry_run=dry_run)
    wanted, unreadable = _mapped(old, map_, file)
    if not dry_run:
        ask(f"replace {old} by {new}, for good?", yes=yes)
    with setup() as use:
        found, farewell = _replaced(use, old, new, wanted, reason)
        verdicts = [*unreadable, *found]
        conflicts = sum(verdict.is_conflict for verdict in verdicts)
        if dry_run or (conflicts and not partial):
            use.sql.rollback()
        state = use.connection(new)["state"]
    is_refused = bool(conflicts) and not partial
    if farewell is not None and not json_ and not is_refused:
        tell_farewell(old, farewell, dry_run=dry_run)
    _tell(verdicts, dry_run=dry_run, as_json_=json_, refused=is_refused)
    if not dry_run and not json_ and state == "observing":
        out.print(f"{new} is observing: `rosterd connection go-live {new}` when its plan is right")


def _replaced(
    use: SQLSetup, old: str, new: str, wanted: Sequence[Wanted], reason: str
) -> tuple[list[Verdict], Farewell | None]:
    """What became of each line, and what ends with the former connection if it had not before."""
    former, taker = use.connection(old), use.connection(new)
    if former["account_id"] != taker["account_id"] or former["id"] == taker["id"]:
        raise UsageError(f"{new} is no other connection of the account of {old}")
    retired = use.retired_of(former["account_id"]) | {former["id"]}
    verdicts = use.take_over(Taking(taker, retired, retired, reason), wanted)
    is_over = former["state"] == "retired"
    return verdicts, None if is_over else use.retire_connection(former, reason=reason)


def _mapped(old: str, map_: str, file: Path | None) -> tuple[list[Wanted], list[Verdict]]:
    if map_ not in MAPS:
        raise UsageError(f"--map {map_!r}: email, file or same")
    if (file is not None) is not (map_ == "file"):
        raise UsageError("--map file and --file FILE belong together")
    if file is not None:
        return _read(file)
    if map_ == "email":
        return [], []
    with setup() as use:
        lines = [as_json(line) for line in use.links(use.connection(old)["id"])]
    return [one for one in read_links(lines) if isinstance(one, Wanted)], []


def move_user(
    person: Who,
    to: Annotated[str, typer.Option(help="The connection that governs from now on.")],
    external_id: Annotated[str, typer.Option(help="What it calls the person.")],
    reason: Why,
    account: Account = None,
    dry_run: DryRun = False,
) -> None:
    """C1: another connection governs this person from now on; nobody is invited again."""
    id_, _ = person_named(person, account)
    _move(to, Wanted(1, external_id, person=id_), reason, account=account, dry_run=dry_run)
    out.print("memberships in groups of the connection that is left stay behind")


def move_group(
    group: Annotated[str, typer.Argument(help="Id, in either form.")],
    to: Annotated[str, typer.Option(help="The connection that governs from now on.")],
    external_id: Annotated[str, typer.Option(help="What it calls the group.")],
    reason: Why,
    account: Account = None,
    dry_run: DryRun = False,
) -> None:
    """C1: another connection governs this group; members whom it governs, too, stay members."""
    wanted = Wanted(1, external_id, kind="group", group=group_known_as(group))
    _move(to, wanted, reason, account=account, dry_run=dry_run)


def _move(to: str, wanted: Wanted, reason: str, *, account: str | None, dry_run: bool) -> None:
    _insist_reason(reason, dry_run=dry_run)
    with setup() as use:
        owner = use.account(account)["id"] if account is not None else None
        taker = use.connection(to, account=owner)
        retired = use.retired_of(taker["account_id"])
        (verdict,) = use.take_over(Taking(taker, None, retired, reason), [wanted])
        # Inside the transaction: what is refused leaves nothing behind.
        if verdict.problem == NOBODY:
            what = "person" if wanted.kind == "user" else "group"
            raise NothingFoundError(what, wanted.person or wanted.group or "")
        if verdict.problem not in ("", UNCHANGED):
            raise RefusedError(f"not moved ({verdict.problem}): {verdict.says}")
        if dry_run:
            use.sql.rollback()
    says = verdict.says or f"{'would be ' if dry_run else ''}moved to {to} as {wanted.external_id}"
    out.print(f"{verdict.subject}: {says}", markup=False)


def _read(file: Path) -> tuple[list[Wanted], list[Verdict]]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            found = list(read_links(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    wanted = [one for one in found if isinstance(one, Wanted)]
    return wanted, [one for one in found if isinstance(one, Verdict)]


def _insist_reason(reason: str, *, dry_run: bool) -> None:
    if not dry_run and not reason.strip():
        raise UsageError("a --reason is needed: it stands in the history of everybody concerned")


def _tell(
    verdicts: Sequence[Verdict], *, dry_run: bool, as_json_: bool, refused: bool = False
) -> None:
    """What became of each line; exit code 1 where a line is a conflict."""
    verdicts = sorted(verdicts, key=lambda one: one.wanted.line)
    counts = Counter(one.problem or "linked" for one in verdicts)
    if as_json_:
        lines = [_shown(one) for one in verdicts]
        print(as_json({"dry_run": dry_run, "refused": refused, **counts, "lines": lines}))
    else:
        for one in verdicts:
            if one.problem:
                says = f"line {one.wanted.line}: {one.problem}: {one.says}"
                out.print(says, markup=False)
        told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        out.print(f"{'would be, ' if dry_run else ''}of {len(verdicts)} lines: {told or 'none'}")
        if refused:
            out.print("nothing was changed: mend these lines, or say --partial")
    if any(one.is_conflict for one in verdicts):
        raise typer.Exit(1)


def _shown(one: Verdict) -> dict[str, Any]:
    return {
        "line": one.wanted.line,
        "kind": one.wanted.kind,
        "external_id": one.wanted.external_id,
        "problem": one.problem,
        "says": one.says,
        "id": one.subject,
    }
