"""`rosterd endpoint`: where an application hears of changes to its directory."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
import typer

from domain.announcements import AnnouncementType
from domain.dispatches import DeliveryError, Dispatch, parse_types
from domain.errors import RefusedError, UsageError
from domain.outbound import check_url, parse_allowed
from worker.adapters.db.dispatches import live_endpoint
from worker.adapters.db.finishing import await_writers
from worker.adapters.db.setup import SQLSetup
from worker.adapters.sources.registry import SOURCES
from worker.adapters.vault import new_id
from worker.cli.event import moment
from worker.cli.options import Overlap
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, err, out, show, tell_one
from worker.cli.reasons import Reason, Why
from worker.cli.session import actor, container, reading, setup

app = typer.Typer(no_args_is_help=True)

COLUMNS = ["id", "url", "types", "state", "waiting", "failing_since", "last_error"]
#: In digits, of a number that a database can be asked for.
LONGEST_CURSOR = 18
OfAccount = Annotated[str | None, typer.Option(help="Only if it is this account's.")]


@app.command("add")
def add(
    url: str,
    account: Annotated[str, typer.Option()],
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Hear of these only; repeat for several.")
    ] = None,
    json_: AsJSON = False,
) -> None:
    """Send every change of an account's directory there, from now on."""
    address = check_url(url, parse_allowed(container().settings.outbound_allow))
    types = parse_types(type_ or [])
    secret = SOURCES["standard"].new_secret()
    with setup() as use:
        owner = use.account(account)["id"]
        endpoint = use.add_endpoint(owner, address, types=types, secret=secret)
    if not await_writers(container().database):
        # What is written by who began before is not announced: they did not know of it.
        err.print("a transaction that began before still runs: what it changes is not announced")
    if json_:
        print(as_json({"id": endpoint, "url": address, "signing_secret": secret}))
        return
    out.print(f"id              {endpoint}\nsigning_secret  {secret}", markup=False)
    out.print(f"shown once; try it with: rosterd endpoint test {endpoint}")


def _id_of(use: SQLSetup, account: str | None) -> str | None:
    return use.account(account)["id"] if account is not None else None


def _since(text: str) -> int | datetime:
    """A cursor is a number; anything else a time."""
    if text.isascii() and text.isdecimal():
        if len(text) > LONGEST_CURSOR:
            raise UsageError(f"{text!r} is no cursor: take one that was announced")
        return int(text)
    found = moment(text)
    assert found is not None
    return found


def _ring() -> None:
    container().ring_announcements()
    container().ringer.stop()


@app.command("list")
def list_(account: Annotated[str | None, typer.Option()] = None, json_: AsJSON = False) -> None:
    """Endpoints, of one account or all, and how they fare."""
    with setup() as use:
        rows = use.endpoints(use.account(account)["id"] if account else None)
    show(rows, COLUMNS, as_json_=json_)


@app.command("show")
def show_(endpoint: str, account: OfAccount = None, json_: AsJSON = False) -> None:
    """One endpoint, and what went out last."""
    with setup() as use:
        found = use.endpoint(endpoint, account=_id_of(use, account))
        recent = use.dispatches_of(endpoint)
    if json_:
        print(as_json({**found, "recent": recent}))
        return
    tell_one(found)
    columns = ["cursor", "type", "subject", "sequence", "state", "attempts", "due_at", "last_error"]
    show(recent, columns, as_json_=False)


@app.command("test")
def try_(endpoint: str, account: OfAccount = None, json_: AsJSON = False) -> None:
    """Send a signed `endpoint.test` now; nothing of it is kept or tried again."""
    with setup() as use:
        found = use.endpoint(endpoint, account=_id_of(use, account))
    with reading() as connection:
        listening = live_endpoint(connection, container().vault, endpoint)
    message = Dispatch(
        id=0,
        endpoint=endpoint,
        message_id=new_id("msg"),
        type=AnnouncementType.ENDPOINT_TEST.value,
        sequence=0,
        data=orjson.dumps({"account": found["account_id"], "endpoint": endpoint}),
        made_at=datetime.now(UTC),
        subject=endpoint,
    )
    poster = container().webhooks
    headers, body = poster.compose(listening, message)
    began = time.monotonic()
    try:
        reply = poster.post(listening.url, headers, body)
    except DeliveryError as error:
        raise RefusedError(f"{listening.url}: {error}") from error
    seconds = round(time.monotonic() - began, 3)
    if not 200 <= reply.status < 300:  # noqa: PLR2004 - the class of success
        raise RefusedError(f"{listening.url} answered {reply.status} after {seconds} s")
    if json_:
        print(as_json({"status": reply.status, "seconds": seconds, "id": message.message_id}))
        return
    out.print(f"ok: answered {reply.status} after {seconds} s", markup=False)


@app.command("pause")
def pause(endpoint: str, reason: Why, account: OfAccount = None) -> None:
    """Send nothing; what is announced meanwhile is kept."""
    with setup() as use:
        use.pause_endpoint(use.endpoint(endpoint, account=_id_of(use, account)), reason=reason)
    out.print("paused; what is announced waits")


@app.command("resume")
def resume(endpoint: str, reason: Reason = "", account: OfAccount = None) -> None:
    """Send again, also after it was disabled; what was kept goes out first."""
    with setup() as use:
        found = use.endpoint(endpoint, account=_id_of(use, account))
        waiting = use.resume_endpoint(found, reason=reason)
    _ring()
    out.print(f"active; {waiting} announcements go out")


@app.command("rotate")
def rotate(
    endpoint: str,
    overlap_hours: Overlap = 24.0,
    account: OfAccount = None,
    json_: AsJSON = False,
) -> None:
    """A new signing secret; for the overlap each request bears both signatures (C3)."""
    secret = SOURCES["standard"].new_secret()
    with setup() as use:
        found = use.endpoint(endpoint, account=_id_of(use, account))
        until = use.now + timedelta(hours=overlap_hours)
        use.rotate_endpoint(found, secret, old_until=until)
    if json_:
        print(as_json({"id": endpoint, "signing_secret": secret, "old_until": until}))
        return
    out.print(f"signing_secret  {secret}", markup=False)
    out.print(f"the old one signs, too, until {until:%Y-%m-%d %H:%M} UTC")


@app.command("remove")
def remove(
    endpoint: str,
    reason: Reason = "",
    account: OfAccount = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """For good: nothing more is sent, what waits is dropped, its secrets are gone."""
    with setup() as use:
        found = use.endpoint(endpoint, account=_id_of(use, account))
    told = f"endpoint {endpoint} ({found['url']}), for which {found['waiting']} announcements wait"
    if dry_run:
        out.print(f"would remove {told}", markup=False)
        return
    if not reason:
        raise UsageError("--reason: say why, for the audit")
    ask(f"remove {told}?", yes=yes)
    with setup() as use:
        found = use.endpoint(endpoint, account=_id_of(use, account))
        dropped = use.remove_endpoint(found, reason=reason)
    out.print(f"removed; {dropped} announcements dropped")


@app.command("replay")
def replay(
    endpoint: str,
    since: Annotated[str, typer.Option(help="A cursor, or a time such as 2026-01-31T09:00Z.")],
    reason: Reason = "",
    account: OfAccount = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """Send once more what was announced after a cursor, or since a time, under its old ids."""
    begin = _since(since)
    announce = container().announce
    with setup() as use:
        owner = _id_of(use, account)
    count = announce.replay(
        endpoint, since=begin, actor=actor(), reason=reason, account=owner, is_dry=True
    )
    if not dry_run:
        if not reason:
            raise UsageError("--reason: say why, for the audit")
        ask(f"send {count} announcements once more?", yes=yes)
        count = announce.replay(endpoint, since=begin, actor=actor(), reason=reason, account=owner)
        container().ringer.stop()
    if json_:
        print(as_json({"count": count, "dry_run": dry_run}))
        return
    out.print(f"{'would send' if dry_run else 'sending'} {count} announcements once more")
