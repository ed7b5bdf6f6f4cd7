"""Requests a second of each source in one process: proven, split and committed, as web does it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from domain.errors import RefusedError
from domain.intake import FeedView, Submission
from domain.policy import Scope
from domain.ports import Request
from worker.adapters.collector import collect_rarely
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import feed_view, setting_up
from worker.adapters.sources import jws
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.cli.bench.scratch import rosterd_on, store
from worker.cli.bench.source_requests import DOCUMENTS, TokenSender, request_of
from worker.services.receive import receive

#: Sources whose proof is a JSON Web Token.
TOKENS = ("fusionauth", "set")
NAMES = (*sorted(set(DOCUMENTS) - set(TOKENS)), *TOKENS)


def taken(server: str | None, folder: Path, requests: int) -> Iterator[float]:
    """Requests a second of each source, in the order of NAMES.

    Each is proven, read, split and peeked at, then stored in groups as the web process does. Raises
    RefusedError where a source does not take its own request, or takes it for nothing.
    """
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        collect_rarely()
        for name in NAMES:
            view, sent = _sent(parts, name, requests)
            began = time.perf_counter()
            told = [_received(view, request) for request in sent]
            store(parts, told)
            yield requests / (time.perf_counter() - began)


def _received(view: FeedView, request: Request) -> Submission:
    found = receive(view, SOURCES[view.source], request, now=datetime.now(UTC))
    if not isinstance(found, Submission) or not found.events or not found.events[0].subject:
        raise RefusedError(f"{view.source} does not take its own request: {found}")
    return found


def _sent(parts: Container, name: str, requests: int) -> tuple[FeedView, Sequence[Request]]:
    """A connection of the source, and so many requests to it."""
    sender = TokenSender()
    trust = sender.trust if name == "set" else {}
    secret = SOURCES[name].credential(None, trust)
    view = _connected(parts, name, secret)
    if name != "set":
        return view, [request_of(name, secret, number) for number in range(requests)]
    keys = jws.read_keys(sender.jwks)
    known = tuple(replace(one, keys=keys) for one in view.secrets)
    now = datetime.now(UTC)
    sent = [sender.request(number, now) for number in range(requests)]
    return replace(view, secrets=known), sent


def _connected(parts: Container, name: str, secret: str) -> FeedView:
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        use.add_account(name, owner=None, domains=["example.com"], parent=None, several=False)
        made = use.add_connection(
            use.account(name),
            name=name,
            source=name,
            scope=Scope(),
            settings={},
            secret=secret,
            observe=False,
        )
    with parts.database.read() as connection:
        view = feed_view(connection, parts.vault, made.feed)
    if view is None:
        raise RefusedError(f"the feed of {name} was not made")
    return view
