"""`rosterd connection`: identity providers attached to an account."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.connecting import check_name, parse_scope
from domain.errors import UsageError
from domain.policy import Scope, ScopeRule
from worker.adapters.db.reading_gauges import caught_up
from worker.adapters.sources.registry import SOURCES
from worker.adapters.sources.scim import NAME as SCIM
from worker.cli import credentials, listing, setting
from worker.cli.backfill import backfill
from worker.cli.connection_observing import go_live, plan
from worker.cli.connection_states import pause, resume, retire
from worker.cli.directory_access import access
from worker.cli.links import replace
from worker.cli.output import AsJSON, as_json, out, show, tell_one
from worker.cli.reach import check, watch
from worker.cli.session import container, setup
from worker.cli.setting import checked
from worker.cli.subscriptions import subscriptions

#: S4: webhooks tell only what happens from now on.
NOT_BACKFILLED = "not backfilled"

app = typer.Typer(no_args_is_help=True)
app.command("access")(access)
app.command("subscriptions")(subscriptions)
app.command("check")(check)
app.command("watch")(watch)
app.command("plan")(plan)
app.command("go-live")(go_live)
app.command("backfill")(backfill)
for _command in (pause, replace, resume, retire):
    app.command(_command.__name__)(_command)
app.command("set")(setting.set_)
app.command("list-is")(listing.list_is)


def _source(name: str) -> str:
    if name not in SOURCES:
        raise UsageError(f"source {name!r} is unknown; there are: {', '.join(sorted(SOURCES))}")
    return name


@app.command("add")
def add(  # noqa: PLR0913, PLR0917 - an option each
    account: Annotated[str, typer.Option(help="Account by name or id.")],
    source: Annotated[str, typer.Option(help=f"Kind of interface: {', '.join(sorted(SOURCES))}.")],
    name: Annotated[str | None, typer.Option(help="Name; default: the source's.")] = None,
    scope: Annotated[
        str | None, typer.Option(help="everyone, groups:ID,.. or assignment:APP.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Setting name=value.")] = None,
    secret: credentials.Secret = None,
    trust: credentials.Trust = None,
    observe: Annotated[bool, typer.Option(help="Store and hold everything for now (S4).")] = False,
    json_: AsJSON = False,
) -> None:
    """Attach an identity provider; its secrets are shown this once."""
    adapter = SOURCES[_source(source)]
    wanted = parse_scope(scope, needs_scope=adapter.needs_scope and not observe, source=source)
    if adapter.needs_scope and scope is None:
        # It may observe without; going live asks for one (S1).
        wanted = Scope(ScopeRule.UNSET)
    with setup() as use:
        made = use.add_connection(
            use.account(account),
            name=check_name(name or source),
            source=source,
            scope=wanted,
            settings=checked(set_, adapter),
            secret=credentials.credential(adapter, secret, trust),
            observe=observe,
        )
    url = container().settings.public_url.rstrip("/")
    is_scim = source == SCIM
    shown = {
        "id": made.id,
        "feed": made.feed,
        "hook_url": "" if is_scim else f"{url}/hooks/{made.feed}",
        "scim_url": f"{url}/scim/v2" if is_scim else "",
        "signing_secret": made.signing_secret,
        "bearer_token": made.bearer_token,
    }
    if json_:
        print(as_json(shown))
        return
    tell_one(shown)
    out.print("the secrets are not shown again")


@app.command("list")
def list_(account: Annotated[str | None, typer.Option()] = None, json_: AsJSON = False) -> None:
    """Connections of one account, or of all."""
    with setup() as use:
        rows = use.connections(use.account(account)["id"] if account else None)
        filled = use.backfilled()
    for row in rows:
        row["backfilled"] = filled.get(row["id"], None if json_ else NOT_BACKFILLED)
    columns = ["id", "account_id", "name", "source", "state", "scope_rule", "backfilled"]
    show(rows, columns, as_json_=json_)


@app.command("show")
def show_(connection: str, json_: AsJSON = False) -> None:
    """One connection with its feeds."""
    with setup() as use:
        found = use.connection(connection)
        found["backfilled"] = use.backfilled().get(found["id"])
        if not json_:
            found["backfilled"] = found["backfilled"] or NOT_BACKFILLED
        for one in caught_up(use.sql, found["id"]):
            found["log_read_at"], found["log_found"] = one.read_at, one.found
            found["log_fails"] = one.why or None
        found["feeds"] = [
            {"id": row["id"], "source": row["source"], "last_heard_at": row["last_heard_at"]}
            for row in use.feeds(found["id"])
        ]
    show([found], list(found), as_json_=json_)
