"""`rosterd feed`: the ways in which one identity provider speaks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from domain.errors import RefusedError, UsageError
from worker.adapters.sources.registry import SOURCES
from worker.adapters.sources.scim import NAME as SCIM
from worker.cli.credentials import Secret, Trust, credential
from worker.cli.options import Overlap
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show, tell_one
from worker.cli.reasons import Reason, Why
from worker.cli.session import container, setup

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    connection: str,
    source: Annotated[str, typer.Option()],
    secret: Secret = None,
    trust: Trust = None,
    json_: AsJSON = False,
) -> None:
    """A further feed of a connection: it shares its people and external ids."""
    if source not in SOURCES:
        raise UsageError(f"source {source!r} is unknown; there are: {', '.join(sorted(SOURCES))}")
    told = credential(SOURCES[source], secret, trust)
    with setup() as use:
        found = use.connection(connection)
        feed = use.add_feed(found["account_id"], found["id"], source=source, secret=told)
        token = ""
        if source == SCIM:
            token = use.add_feed_token(found["account_id"], feed, name=f"{found['name']} SCIM")
    url = container().settings.public_url.rstrip("/")
    shown = {"id": feed, "hook_url": f"{url}/hooks/{feed}", "signing_secret": told}
    if token:
        shown = {"id": feed, "scim_url": f"{url}/scim/v2", "bearer_token": token}
    if json_:
        print(as_json(shown))
        return
    tell_one(shown)


@app.command("list")
def list_(connection: str, json_: AsJSON = False) -> None:
    """Feeds of a connection."""
    with setup() as use:
        rows = use.feeds(use.connection(connection)["id"])
    show(rows, ["id", "source", "state", "dialect", "last_heard_at"], as_json_=json_)


@app.command("rotate")
def rotate(
    feed: str,
    overlap_hours: Overlap = 24.0,
    secret: Secret = None,
    trust: Trust = None,
    json_: AsJSON = False,
) -> None:
    """A new signing secret, ours or the sender's; the old one lives on for the overlap (C3)."""
    with setup() as use:
        found = use.feed(feed)
        if found["state"] == "retired":
            raise RefusedError(f"feed {feed} is retired: add another with `rosterd feed add`")
        if found["source"] not in SOURCES:
            raise RefusedError(f"feed {feed} is rosterd's own: nothing is posted to it")
        if found["source"] == SCIM:
            raise RefusedError(
                f"feed {feed} is spoken to with bearer tokens: add one with `rosterd token add "
                f"--feed {feed} --scope scim:read --scope scim:write`, then revoke the old one"
            )
        told = credential(SOURCES[found["source"]], secret, trust)
        until = use.now + timedelta(hours=overlap_hours)
        use.rotate_secret(found["account_id"], feed, told, old_until=until)
    if json_:
        print(as_json({"id": feed, "signing_secret": told, "old_until": until}))
        return
    out.print(f"signing_secret  {told}", markup=False)
    out.print(f"the old one lives until {until:%Y-%m-%d %H:%M} UTC")


@app.command("pause")
def pause(feed: str, reason: Why) -> None:
    """Hold what this feed says, until resumed; the other feeds go on."""
    with setup() as use:
        held = use.set_feed_state(use.feed(feed), "paused", reason=reason)
    out.print(f"paused; {held} open events are held")


@app.command("resume")
def resume(feed: str, reason: Reason = "") -> None:
    """Apply what was held, and everything from now on."""
    with setup() as use:
        released = use.set_feed_state(use.feed(feed), "active", reason=reason)
    out.print(f"active; {released} held events go on")


@app.command("retire")
def retire(feed: str, reason: Why, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Close this way in for good: 401 from now on; what it has told is kept and applied."""
    if dry_run:
        with setup() as use:
            found = use.feed(feed)
        told = f"would retire {found['id']} ({found['source']}): 401 from then on"
        out.print(f"{told}; what it has told is kept and applied")
        return
    ask(f"retire feed {feed} for good?", yes=yes)
    with setup() as use:
        use.set_feed_state(use.feed(feed), "retired", reason=reason)
    out.print(f"retired: {feed}")
