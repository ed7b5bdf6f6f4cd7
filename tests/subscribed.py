"""A rosterd that has subscribed at a Microsoft Graph, whose notifications reach it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from domain.directory_access import DirectoryAccess
from tests.fakes.graph import TENANT, FakeGraph
from tests.harness import Feed, Rosterd
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions

SOON = timedelta(seconds=5)


def connected(rosterd: Rosterd, graph: FakeGraph, account: str = "acme") -> Feed:
    """A connection with access to the tenant; what Graph sends goes through our front door."""

    def deliver(url: str, body: bytes, content_type: str) -> tuple[int, str, bytes]:
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        answer = rosterd.http.post(path, content=body, headers={"content-type": content_type})
        return answer.status_code, answer.headers.get("content-type", ""), answer.content

    graph.deliver = deliver
    feed = rosterd.account(name=account, source="entra", scope="everyone", catch_up_every="1s")
    give_access(rosterd, feed, graph)
    return feed


def give_access(rosterd: Rosterd, feed: Feed, graph: FakeGraph) -> None:
    details = {"tenant": TENANT, "client_id": graph.client, "login": graph.url}
    access = DirectoryAccess("entra", graph.url, details, graph.secret)
    with rosterd.setup() as use:
        use.give_access(use.connection(feed.connection), access, reason="a test")


def look_after(rosterd: Rosterd, feed: Feed) -> str | None:
    """What a worker does about subscriptions that are due; why it failed."""
    return rosterd.parts.reading.subscribe.run(feed.connection)


def pass_time(rosterd: Rosterd, graph: FakeGraph, days: float) -> None:
    """As if so many days had gone by, for both sides."""
    by = timedelta(days=days)
    with rosterd.parts.database.begin() as sql:
        for row in sql.execute(subscriptions.select()).mappings().all():
            moments = ("made_at", "renewed_at", "renew_at", "ends_at")
            earlier = {name: row[name] - by for name in moments}
            mine = subscriptions.c.id == row["id"]
            sql.execute(subscriptions.update().where(mine).values(**earlier))
        for row in sql.execute(subscription_turns.select()).mappings().all():
            mine = subscription_turns.c.connection_id == row["connection_id"]
            earlier = {"due_at": row["due_at"] - by, "lease_until": None}
            sql.execute(subscription_turns.update().where(mine).values(**earlier))
        sql.commit()
    for one in graph.subscriptions.values():
        one.ends_at -= by


def catch_up(rosterd: Rosterd, feed: Feed) -> int:
    """Read the log on; how many events are new."""
    with rosterd.parts.database.begin() as sql:
        sql.execute(catch_ups.update().values(due_at=rosterd.now(), lease_until=None))
        sql.commit()
    return rosterd.parts.reading.catch_up.run(feed.connection, budget=SOON)
