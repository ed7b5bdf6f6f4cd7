"""`rosterd directory import`: people, groups and memberships by hand, from a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from domain.errors import UsageError
from worker.adapters.db.importing import ImportOrder
from worker.adapters.lines import records
from worker.cli.output import AsJSON, DryRun, as_json, err, out
from worker.cli.progress import progress
from worker.cli.reasons import Reason
from worker.cli.session import actor, container, post, setup
from worker.services.importing import Batch, Line, Tally

#: Standard input.
PIPE = "-"


def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON Lines; - reads a pipe.")],
    account: Annotated[
        str | None, typer.Option(help="Name or id; needed where there are several.")
    ] = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    invite: Annotated[
        bool, typer.Option("--invite", help="Mail an invitation to whoever comes in as invited.")
    ] = False,
    any_domain: Annotated[
        bool, typer.Option("--any-domain", help="Also addresses of domains not on the list (E4).")
    ] = False,
    after_line: Annotated[int, typer.Option(help="Pass by the lines up to this one.")] = 0,
    json_: AsJSON = False,
) -> None:
    """Add people, groups and memberships that no identity provider made.

    What is there stays as it is, so that the same file twice changes nothing. A line that is
    refused is told with its number and why, the others go in; then the exit code is 1. Nobody is
    mailed without --invite: `rosterd user resend` invites one, a second import nobody.

    Columns of a CSV file: kind (user, group, membership; user if left out), email, given_name,
    family_name, display_name, role, state (invited, active, suspended), group, name, user.
    """
    if not dry_run and not reason.strip():
        raise UsageError("--reason: say why; it stands in the audit (or see first: --dry-run)")
    order = ImportOrder(_account(account), actor(), reason, invite, any_domain)
    tally = Tally(through=after_line)
    with _opened(file) as source, _progress(source, file, is_quiet=json_) as lines:
        use = container().importing(order, is_trial=dry_run)
        try:
            wanted = (line for line in lines if line.number > after_line)
            for batch in use.run(wanted, tally):
                _tell(batch, as_json_=json_)
        except BaseException:
            _stopped(tally, after_line, is_trial=dry_run, as_json_=json_)
            raise
        finally:
            if invite and not dry_run:
                post()
    _sum_up(tally, is_trial=dry_run, as_json_=json_)
    if tally.refused:
        raise typer.Exit(1)


def _account(name: str | None) -> str:
    with setup() as use:
        if name is not None:
            return str(use.account(name)["id"])
        known = use.accounts()
    if len(known) != 1:
        raise UsageError(f"there are {len(known)} accounts: say into which, by --account")
    return str(known[0]["id"])


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == PIPE:
        yield sys.stdin.buffer
        return
    try:
        with file.open("rb") as source:
            yield source
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


@contextmanager
def _progress(source: BinaryIO, file: Path, *, is_quiet: bool) -> Iterator[Iterator[Line]]:
    """The lines of a file, and a bar of how much of it was read."""
    size = None if str(file) == PIPE else file.stat().st_size
    with progress("importing", unit="bytes", total=size, is_quiet=is_quiet) as done:

        def read() -> Iterator[Line]:
            for record in records(source):
                if record.number % 1000 == 0:
                    done(record.position)
                yield Line(record.number, record.fields)

        yield read()


def _tell(batch: Batch, *, as_json_: bool) -> None:
    for line in batch.refused:
        if as_json_:
            print(as_json({"line": line.number, "code": line.code, "why": line.why}))
        else:
            err.print(f"line {line.number}: {line.code}: {line.why}", markup=False)


def _stopped(tally: Tally, began: int, *, is_trial: bool, as_json_: bool) -> None:
    """Whatever ended it: how far it came, and how to go on."""
    if tally.through == began:
        return
    _sum_up(tally, is_trial=is_trial, as_json_=as_json_)
    told = f"stopped after line {tally.through}: run it again, and what is in stays as it is"
    err.print(told, style="red")


def _sum_up(tally: Tally, *, is_trial: bool, as_json_: bool) -> None:
    if as_json_:
        summary = {
            "dry_run": is_trial,
            "through_line": tally.through,
            "added": dict(tally.added),
            "unchanged": tally.unchanged,
            "refused": dict(tally.refused),
        }
        print(as_json({"summary": summary}))
        return
    added = ", ".join(f"{count} {what}" for what, count in tally.added.items() if count)
    verb = "would add" if is_trial else "added"
    out.print(f"{verb}: {added or 'nothing'}; {tally.unchanged} lines were there already")
    if tally.refused:
        why = ", ".join(f"{code} {count}" for code, count in sorted(tally.refused.items()))
        out.print(f"refused: {sum(tally.refused.values())} ({why})")
