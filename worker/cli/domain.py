"""`rosterd domain`: which e-mail domains an account takes (E4)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated

import typer

from domain.domains import BELOW, listed_by
from domain.errors import UsageError
from domain.intake import StoredEvent
from domain.replays import Selection
from domain.values import domain_of
from worker.adapters.idn import both_forms, to_entry, to_read, warning
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, err, out, show
from worker.cli.own_words import ring
from worker.cli.reasons import Reason
from worker.cli.replay_watch import run, tell
from worker.cli.session import asker, container, setup

app = typer.Typer(no_args_is_help=True)

Entry = Annotated[
    str, typer.Argument(help="example.com, or *.example.com: its subdomains, not itself.")
]


@app.command("allow")
def allow(
    account: str,
    domain: Entry,
    reason: Reason = "",
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay what was refused for it, at once.")
    ] = False,
    rate: Annotated[str | None, typer.Option(help="Of the replay: 20/s, 600/m.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to watch the replay.")] = 60.0,
) -> None:
    """Allow a domain; offers, or with --replay does, the replay of what was refused for it."""
    entry = to_entry(domain)
    if replay and not reason.strip():
        raise UsageError("a replay needs a --reason for the audit")
    with setup() as use:
        found = use.account(account)
        is_new = use.allow_domain(found["id"], entry, reason=reason)
        listed = use.domains(found["id"])
        invited = use.invite_waiting(found["id"], entry, reason=reason)
    out.print(
        f"domain {both_forms(entry)} {'allowed' if is_new else 'was allowed already'}", markup=False
    )
    _tell_of(entry, listed, found["name"])
    _ring(invited)
    wanted = Selection(account=found["id"], domain=entry)
    refused = len(container().replay.store.choose(wanted))
    if not refused:
        return
    if replay:
        tell(run(wanted, asker=asker(), reason=reason, rate=rate, wait=wait))
        return
    words = ["--account", found["name"], "--domain", entry, "--reason", "domain allowed"]
    out.print(f"{refused} dead letters were refused for it; replay them:")
    out.print(f"  rosterd dead replay {shlex.join(words)}", markup=False)


def _ring(invited: Mapping[str, list[StoredEvent]]) -> None:
    """Who was known and waited for an address there is described, and so invited."""
    count = sum(map(len, invited.values()))
    if count:
        out.print(f"{count} people waited for an address there; they are described by events now")
    for connection, events in invited.items():
        ring(events, connection)


def _tell_of(entry: str, listed: list[str], account: str) -> None:
    """What an operator may not have meant: a look-alike, or subdomains alone."""
    why = warning(entry)
    if why is not None:
        name = shlex.quote(account)
        undo = f"rosterd domain forbid {name} {shlex.quote(entry)}"
        err.print(f"warning: {why}. If that was not meant: {undo}", style="yellow", markup=False)
    parent = entry.removeprefix(BELOW)
    if parent not in {entry, *listed}:
        out.print(
            f"subdomains only: {both_forms(parent)} itself is not on the list; it would be by "
            f"`rosterd domain allow {shlex.quote(account)} {parent}`",
            markup=False,
        )


@app.command("forbid")
def forbid(
    account: str, domain: Entry, reason: Reason = "", yes: Yes = False, dry_run: DryRun = False
) -> None:
    """Forbid a domain for later claims; whoever has an address there keeps it."""
    entry = to_entry(domain)
    if not dry_run:
        ask(f"forbid {both_forms(entry)}?", yes=yes)
    with setup() as use:
        found = use.account(account)
        people = use.people_at(found["id"], entry)
        before = use.domains(found["id"])
        was = entry in before
        if not dry_run:
            was = use.forbid_domain(found["id"], entry, reason=reason)
    done = "would be forbidden" if dry_run else "forbidden"
    out.print(f"domain {both_forms(entry)} {done if was else 'was not on the list'}", markup=False)
    if not was:
        return
    left = [name for name in before if name != entry]
    if people:
        out.print(
            f"{people} people have addresses there and keep them; nobody new is taken there, and "
            "who is suspended cannot return to such an address"
        )
    still = listed_by(entry.removeprefix(BELOW), left)
    if still is not None:
        out.print(f"it is still taken by {both_forms(still)}", markup=False)
    if not left:
        out.print("the list is empty now: nobody can be provisioned (E4)")


@app.command("list")
def list_(account: str, json_: AsJSON = False) -> None:
    """Allowed domains of an account, as stored and as people write them."""
    with setup() as use:
        entries = use.domains(use.account(account)["id"])
    rows = [
        {
            "domain": entry,
            "reads": to_read(entry),
            "takes": "subdomains" if entry.startswith(BELOW) else "itself",
            "warning": warning(entry),
        }
        for entry in entries
    ]
    show(rows, ["domain", "reads", "takes", "warning"], as_json_=json_)
    if not rows and not json_:
        out.print("the list is empty: nobody can be provisioned (E4)")


@app.command("check")
def check(
    account: str,
    address: Annotated[str, typer.Argument(help="An address, or a domain.")],
    json_: AsJSON = False,
) -> None:
    """Whether an address would be taken, and by which entry; exit code 1 if not."""
    host = domain_of(address)
    with setup() as use:
        found = use.account(account)
        listed = use.domains(found["id"])
    entry = listed_by(host, listed)
    if json_:
        print(as_json({"domain": host, "reads": to_read(host), "by": entry}))
    elif entry is not None:
        out.print(f"{both_forms(host)} is taken by {both_forms(entry)}", markup=False)
    else:
        why = "is not on the list" if listed else "is not taken: the list is empty"
        out.print(f"{both_forms(host)} {why}: {_remedy(found['name'], host)}", markup=False)
    if entry is None:
        raise typer.Exit(1)


def _remedy(account: str, host: str) -> str:
    try:
        return f"rosterd domain allow {shlex.quote(account)} {to_entry(host)}"
    except UsageError:
        return "and it cannot be, for it is no domain such as example.com"
