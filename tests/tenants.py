"""Accounts with the same external ids, and what only the first of them has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from domain.keys import group_id, group_ref
from domain.reconciliation import Order, Purpose
from domain.replays import Selection
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import holds
from worker.adapters.db.minute_rows import minutes
from worker.adapters.db.operator_rows import sessions, sign_in_tries
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.sources.registry import SOURCES

#: What only the first account has; it must be in nothing that the second is shown.
MARK = "alphaonly"
#: Counts of requests, refused ones included: the one table that a refusal may change.
COUNTS = {rows.receipts.name, sign_in_tries.name, minutes.name}
#: That a token is in use, and a feed heard, is written of the token and the feed themselves; a
#: session in use lasts longer.
USE = ("last_used_at", "last_heard_at", "seen_at")
USE_OF = {sessions.name: "expires_at"}


def lived_in(rosterd: Rosterd, name: str, mark: str, *, parent: str | None = None) -> Feed:
    """People, a group, a dead letter: with the same external ids in each account."""
    with rosterd.setup() as use:
        account = use.add_account(
            name, owner=None, domains=["example.com"], parent=parent, several=True
        )
    feed = rosterd.connect(name, name=f"{name}-feed", breaker_min="1", breaker_percent="0")
    for type_, data in (
        *(("user.upserted", person(key, mark)) for key in ("u1", "u2")),
        ("group.upserted", {"id": "g1", "name": f"{mark} crew"}),
        ("group.member_added", {"group_id": "g1", "user_id": "u1"}),
        ("user.upserted", {"id": f"d-{mark}", "email": f"d@{mark}.org"}),
    ):
        rosterd.tell(feed, type_, data, drain=False)
    rosterd.drain()
    rosterd.account_id = account
    return feed


def related(rosterd: Rosterd, relation: str) -> tuple[Tenant, Tenant]:
    """Two accounts, the second of which sees nothing of the first (C4).

    relation: what the second is to the first: `stranger`, `child` or `sibling`.
    """
    above = None
    if relation == "sibling":
        with rosterd.setup() as use:
            use.add_account("above", owner=None, domains=[], parent=None, several=False)
        above = "above"
    first = furnished(rosterd, "alpha", MARK, parent=above)
    parent = "alpha" if relation == "child" else above
    return first, furnished(rosterd, "beta", "betaonly", parent=parent)


def person(key: str, mark: str) -> dict[str, str]:
    """What is told of somebody."""
    return {"id": key, "email": address(key, mark), "given_name": mark}


def address(key: str, mark: str) -> str:
    """Where a person of an account gets mail."""
    return f"{key}.{mark}@example.com"


@dataclass(frozen=True)
class Tenant:
    """An account with one of everything that has an id, a name or a secret.

    words: by what it is, all that names it. `letter` is a dead event, `discarded` one that was
    given up, `replay` the replay of a third, which is still under way.
    """

    name: str
    feed: Feed
    words: dict[str, str]
    secrets: dict[str, str]

    @property
    def marks(self) -> list[str]:
        """What no answer to another account may hold."""
        return [*self.words.values(), *self.secrets.values()]


def furnished(rosterd: Rosterd, name: str, mark: str, *, parent: str | None = None) -> Tenant:
    """An account with one of everything, below its parent."""
    feed = lived_in(rosterd, name, mark, parent=parent)
    account = rosterd.account_id
    rosterd.tell(feed, "user.upserted", person("u4", mark), drain=False)
    for key in ("d2", "d3"):
        refused = {"id": f"{key}-{mark}", "email": f"{key}@{mark}.org"}
        rosterd.tell(feed, "user.upserted", refused, drain=False)
    rosterd.drain()
    rosterd.accept(address("u4", mark))
    moved = {"id": "u4", "email": address("moved", mark)}
    rosterd.tell(feed, "user.email_changed", moved)
    rosterd.tell(feed, "user.suspended", {"id": "u2"})
    letters = sorted(
        row["event_id"]
        for row in rosterd.table(rows.dead_letters, rows.dead_letters.c.account_id == account)
    )
    letter, discarded, replayed = map(str, letters)
    chosen = Selection(ids=(int(replayed),))
    replay = rosterd.parts.replay.start(chosen, actor="test", reason=mark)
    rosterd.cli("dead", "discard", discarded, "--reason", mark, "--yes")
    add = ("connection", "add", "--account", name, "--source", "standard", "--observe", "--json")
    observing = json.loads(rosterd.cli(*add, "--name", f"{name}-later").stdout)["id"]
    group = rosterd.parts.groups.add(account, f"{mark} by hand", actor="test", reason=mark)
    people = {row["external_id"]: row["id"] for row in _people(rosterd, account)}
    scim = rosterd.feed(feed, "scim")
    resources = {
        (row["kind"], row["key"]): row["id"]
        for row in rosterd.table(scim_resources, scim_resources.c.connection_id == feed.connection)
    }
    listed = rosterd.settings.data_dir / f"{mark}.txt"
    listed.write_text("u1")
    credential = rosterd.settings.data_dir / f"{mark}.key"
    credential.write_text(f"00{mark}")
    imported = rosterd.settings.data_dir / f"{mark}.csv"
    imported.write_text(f"email\n{address('moved-in', mark)}\n")
    patched = rosterd.settings.data_dir / f"{mark}.json"
    patched.write_text('[{"op": "add", "path": "/data/given_name", "value": "walk"}]')
    with rosterd.setup() as use:
        scopes = ["scim:read", "scim:write", "directory:read", "directory:write"]
        bearer = use.add_token(account, name=mark, scopes=scopes)
        broad = use.add_token(account, name=mark, scopes=["metrics", "operator"])
        token = next(row["id"] for row in use.tokens() if row["prefix"] == bearer[:12])
        listens = SOURCES["standard"].new_secret()
        url = f"https://app.example.com/{mark}"
        endpoint = use.add_endpoint(account, url, types=(), secret=listens)
    session = rosterd.session(
        rosterd.operator(address("operator", mark), "operator", account=account)
    )
    return Tenant(
        name,
        feed,
        words={
            "account": account,
            "connection": feed.connection,
            "connection_name": f"{name}-feed",
            "feed": feed.id,
            "scim_feed": scim.id,
            "scim_user": resources["User", "u1"],
            "scim_group": resources["Group", "g1"],
            "person": people["u1"],
            "group": group_ref(group_id(feed.connection, "g1")),
            "group_by_hand": group.id,
            "moved": people["u4"],
            "event": str(_event(rosterd, account)),
            "letter": letter,
            "discarded": discarded,
            "replay": replay.id,
            "observing": observing,
            "reconciliation": _cancelled(rosterd, feed),
            "hold": next(row["id"] for row in rosterd.table(holds, holds.c.account_id == account)),
            "token": token,
            "endpoint": endpoint,
            "email": address("u1", mark),
            "operator": address("operator", mark),
            "listed": str(listed),
            "imported": str(imported),
            "credential": str(credential),
            "recording": str(credential.with_name(f"{credential.name}-recording")),
            "patch": str(patched),
        },
        secrets={
            "bearer": bearer,
            "broad_bearer": broad,
            "invitation": rosterd.link(address("u1", mark)).rpartition("/")[2],
            "change": rosterd.link(address("moved", mark)).rpartition("/")[2],
            "signing": feed.secret,
            "endpoint_secret": listens,
            "session": session,
        },
    )


def _cancelled(rosterd: Rosterd, feed: Feed) -> str:
    """A reconciliation that came to nothing."""
    runs = rosterd.parts.reading.runs
    order = Order(Purpose.RECONCILE, applies=False, actor="test", reason="x")
    run = runs.begin(feed.connection, order)
    runs.cancel(run, actor="test", reason="x")
    rosterd.parts.reading.reconcile.go_on(run, budget=timedelta(seconds=30))
    return run


def _people(rosterd: Rosterd, account: str) -> list[dict[str, Any]]:
    table = rows.people
    return [
        {"external_id": row["user_key"], "id": row["id"]}
        for row in rosterd.table(table, table.c.account_id == account)
    ]


def _event(rosterd: Rosterd, account: str) -> int:
    events = rows.events
    with rosterd.parts.database.read() as connection:
        oldest = select(events.c.id).where(events.c.account_id == account).order_by(events.c.id)
        return int(connection.execute(oldest.limit(1)).scalar_one())


def contents(rosterd: Rosterd) -> set[tuple[str, str]]:
    """Every row of every table but the counts, as text."""
    return {
        (
            table.name,
            repr(
                sorted(
                    item for item in row.items() if item[0] not in (*USE, USE_OF.get(table.name))
                )
            ),
        )
        for table in rows.metadata.sorted_tables
        if table.name not in COUNTS
        for row in rosterd.table(table)
    }


def leaves(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command of the command line, with the words that call it."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from leaves(below, *path, name)
    else:
        yield " ".join(path), command
