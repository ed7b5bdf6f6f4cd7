"""`rosterd connection plan|go-live`: what an observing connection would do, and doing it (S4)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from domain.connecting import parse_scope
from domain.errors import RefusedError, UsageError
from domain.inbox import Kind, Lane
from domain.observing import Person, Plan, differences, sentence
from domain.policy import Scope
from worker.adapters.db.observing_setup import is_scoped
from worker.adapters.sources.registry import SOURCES
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, is_attended, out
from worker.cli.progress import progress
from worker.cli.reasons import Why
from worker.cli.session import container, setup

#: So many people are named where no file is asked for.
NAMED = 20
OfScope = Annotated[
    str | None,
    typer.Option("--scope", help="In place of the connection's: everyone, groups:ID,.."),
]


def plan(
    connection: str,
    scope: OfScope = None,
    people: Annotated[
        str | None, typer.Option(help="File for everybody as JSON lines; - for here.")
    ] = None,
    json_: AsJSON = False,
) -> None:
    """What going live would do, decided for real and undone; keeps it under an id (S4)."""
    found = _observing(connection)
    wanted = _scope(found, scope)
    named: list[Person] = []
    with _told_to(people) as tell, progress("planning", unit="events", is_quiet=json_) as done:
        made = container().observe.plan(
            found["id"], scope=wanted, tell=_both(named, tell), done=done
        )
    with setup() as use:
        kept = use.keep_plan(found, made, scope)
    if json_:
        if people != "-":
            print(as_json({"plan": kept, "connection": found["id"], **made.as_dict()}))
        return
    _show(kept, found, made, named)


def go_live(  # noqa: PLR0913, PLR0917 - one option a word of the operator
    connection: str,
    reason: Why,
    plan: Annotated[str | None, typer.Option(help="The plan that was agreed, by its id.")] = None,
    scope: OfScope = None,
    accept_changes: Annotated[
        bool, typer.Option(help="Also if it differs from the plan by now.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Annotated[float, typer.Option(help="Seconds to watch; 0 to leave at once.")] = 60.0,
    json_: AsJSON = False,
) -> None:
    """Apply what was observed, through the breaker, behind all live traffic (S4)."""
    if not reason.strip():
        raise UsageError("going live needs a --reason for the audit")
    found = _observing(connection)
    text = _agreed_scope(found, plan, scope)
    wanted = _scope(found, text)
    _insist_scoped(found, wanted)
    with progress("planning", unit="events", is_quiet=json_) as done:
        made = container().observe.plan(found["id"], scope=wanted, done=done)
    if plan is not None:
        _insist_as_shown(found, plan, made, accept_changes=accept_changes)
    if not json_:
        out.print(f"{found['name']} {sentence(made.as_dict())}", markup=False)
    if dry_run:
        if json_:
            print(as_json({"connection": found["id"], "dry_run": True, **made.as_dict()}))
        return
    if plan is None and not yes:
        if not is_attended():
            raise UsageError("name the plan that was agreed with --plan, or say --yes")
        ask(f"let {found['name']} do so?", yes=False)
    with setup() as use:
        kept = use.keep_plan(found, made, text)
        count = use.go_live(found, scope=wanted, plan=kept, reason=reason)
    container().ringer.ring(Kind.SORT, Lane.BULK.value, connection=found["id"], event_ids=())
    container().ringer.stop()
    _watch(found, kept, made, count, wait, json_=json_)


def _observing(connection: str) -> dict[str, Any]:
    with setup() as use:
        found = use.connection(connection)
    if found["state"] != "observing":
        raise RefusedError(
            f"connection {found['name']} is {found['state']}: only one that observes has a plan "
            "(connection add --observe)"
        )
    return found


def _scope(found: dict[str, Any], text: str | None) -> Scope | None:
    if text is None:
        return None
    return parse_scope(text, needs_scope=False, source=found["source"])


def _agreed_scope(found: dict[str, Any], plan: str | None, scope: str | None) -> str | None:
    """What was planned under another scope goes live under it."""
    if plan is None or scope is not None:
        return scope
    with setup() as use:
        return use.kept_plan(found, plan).scope


def _insist_scoped(found: dict[str, Any], wanted: Scope | None) -> None:
    if SOURCES[found["source"]].needs_scope and wanted is None and not is_scoped(found):
        raise UsageError(
            f"source {found['source']} speaks of a whole organisation and {found['name']} does not "
            "say whom to provision: --scope everyone, groups:ID,.. or assignment:APP_ID (S1)"
        )


def _insist_as_shown(found: dict[str, Any], plan: str, made: Plan, *, accept_changes: bool) -> None:
    with setup() as use:
        shown = use.kept_plan(found, plan)
    changed = differences(shown.summary, made.as_dict())
    if not changed:
        return
    if not accept_changes:
        raise RefusedError(
            f"plan {plan} is out of date:\n  " + "\n  ".join(changed) + "\n"
            f"look again with `rosterd connection plan {found['id']}`, or say --accept-changes"
        )
    out.print("since the plan: " + "; ".join(changed), markup=False)


# -- what is shown ------------------------------------------------------------------------


@contextmanager
def _told_to(people: str | None) -> Iterator[Callable[[Person], None] | None]:
    if people is None:
        yield None
    elif people == "-":
        yield _to(sys.stdout)
    else:
        with Path(people).open("w", encoding="utf-8") as file:
            yield _to(file)


def _to(file: TextIO) -> Callable[[Person], None]:
    def tell(person: Person) -> None:
        file.write(as_json(asdict(person)) + "\n")

    return tell


def _both(named: list[Person], tell: Callable[[Person], None] | None) -> Callable[[Person], None]:
    def both(person: Person) -> None:
        if len(named) < NAMED:
            named.append(person)
        if tell is not None:
            tell(person)

    return both


def _show(kept: str, found: dict[str, Any], made: Plan, named: list[Person]) -> None:
    out.print(f"{found['name']} {sentence(made.as_dict())}", markup=False)
    for person in named:
        out.print(f"  {person.does:15} {person.email}  ({person.external_id})", markup=False)
    if len(named) < sum(made.people.values()):
        out.print(f"  .. and {sum(made.people.values()) - len(named):,} more: --people FILE")
    out.print(f"plan {kept}, of {made.events:,} events; nothing was changed", markup=False)
    out.print(f"to do exactly this: rosterd connection go-live {found['id']} --plan {kept}")


def _watch(
    found: dict[str, Any], kept: str, made: Plan, count: int, seconds: float, *, json_: bool
) -> None:
    """Until all of it is decided; then whether what was announced is what happened."""
    deadline = time.monotonic() + seconds
    with progress("deciding", unit="events", total=count, is_quiet=json_) as done:
        while (left := _left(found["id"])) and time.monotonic() < deadline:
            done(count - left)
            time.sleep(0.2)
    told: dict[str, Any] = {"connection": found["id"], "plan": kept, "events": count, "left": left}
    if left == 0:
        with setup() as use:
            happened = use.happened(found["id"], kept)
        told |= {"happened": happened.as_dict()}
        told["differences"] = differences(made.as_dict(), happened.as_dict())
    if json_:
        print(as_json(told))
        return
    out.print(f"{found['name']} is live; {count:,} observed events went to the bulk lane")
    if left:
        out.print(f"{left:,} of them are not decided yet: rosterd status")
    else:
        parted = told["differences"]
        out.print("what was announced is what happened" if not parted else "; ".join(parted))


def _left(connection: str) -> int:
    with setup() as use:
        return use.left_of(connection)
