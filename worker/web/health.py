"""Machines' probes: alive, ready, healthy, and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hmac import compare_digest
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from domain.inbox import Lane
from domain.ports import InfrastructureError
from worker import telemetry
from worker.adapters.db.gauges import OPEN_STATES, Snapshot
from worker.adapters.db.operators import may_read_metrics
from worker.adapters.db.schema import is_current
from worker.bootstrap import Container

LOOPBACK = ("127.0.0.1", "::1")
#: A sweep older than this many intervals is late.
LATE_SWEEPS = 4


def routes(parts: Container) -> list[Route]:
    """The endpoints."""
    probes = _Probes(parts)
    return [
        Route("/livez", probes.live),
        Route("/readyz", probes.ready),
        Route("/health", probes.health),
        Route("/metrics", probes.metrics),
    ]


class _Probes:
    def __init__(self, parts: Container) -> None:
        self._parts = parts

    def live(self, _request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    def ready(self, _request: Request) -> Response:
        """The database answers and has the schema; the broker is not needed to take events in."""
        try:
            if not is_current(self._parts.database):
                return PlainTextResponse("schema is behind: rosterd migrate\n", 503)
        except InfrastructureError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ready\n")

    def health(self, _request: Request) -> Response:
        """Every component by itself."""
        components = {
            "database": _checked(self._database),
            "broker": _checked(self._broker),
            "workers": _checked(self._workers),
            "sweeper": _checked(self._sweeper),
            "mail": _checked(self._mail),
        }
        states = [component["state"] for component in components.values()]
        worst = (
            "down"
            if components["database"]["state"] == "down"
            else ("degraded" if any(state != "ok" for state in states) else "ok")
        )
        return JSONResponse(
            {"state": worst, "components": components}, 503 if worst == "down" else 200
        )

    def _database(self) -> tuple[str, str]:
        return ("ok", "") if is_current(self._parts.database) else ("down", "schema is behind")

    def _broker(self) -> tuple[str, str]:
        if self._parts.is_broker_answering():
            return "ok", ""
        return "degraded", "out of reach; workers poll the tables instead"

    def _workers(self) -> tuple[str, str]:
        count = self._parts.gauges.snapshot().workers
        return ("ok" if count else "degraded"), f"{count} alive"

    def _sweeper(self) -> tuple[str, str]:
        snapshot = self._parts.gauges.snapshot()
        if snapshot.swept_at is None:
            return "degraded", "has not run yet"
        age = (snapshot.at - snapshot.swept_at).total_seconds()
        late = age > LATE_SWEEPS * max(self._parts.settings.sweep_seconds, 1.0)
        return ("degraded" if late else "ok"), f"last run {age:.0f} s ago"

    def _mail(self) -> tuple[str, str]:
        waiting = self._parts.gauges.snapshot().notices
        failed = waiting.get("failed", 0)
        return (
            "degraded" if failed else "ok"
        ), f"{failed} failed, {waiting.get('pending', 0)} waiting"

    def metrics(self, request: Request) -> Response:
        """Prometheus' text: this process's counters and the state of things from SQL."""
        if not self._may_read(request):
            return PlainTextResponse("a token with scope metrics is needed\n", 401)
        registry = CollectorRegistry()
        registry.register(
            _StateCollector(self._parts.gauges.snapshot(), self._parts.queue_lengths())
        )
        text = telemetry.exposition() + generate_latest(registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    def _may_read(self, request: Request) -> bool:
        if request.client is not None and request.client.host in LOOPBACK:
            return True
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token:
            return False
        set_token = self._parts.settings.metrics_token
        if set_token is not None and compare_digest(
            token.encode(), set_token.get_secret_value().encode()
        ):
            return True
        return may_read_metrics(self._parts.database, token)


def _checked(check: Callable[[], tuple[str, str]]) -> dict[str, Any]:
    try:
        state, detail = check()
    except InfrastructureError as error:
        state, detail = "down", str(error)
    return {"state": state, "detail": detail}


class _StateCollector(Collector):
    """Gauges of one snapshot; what is zero is told as zero."""

    def __init__(self, snapshot: Snapshot, queues: dict[str, int]) -> None:
        self._snapshot = snapshot
        self._queues = queues

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See prometheus_client."""
        yield from self._events()
        snapshot = self._snapshot
        suspended = _family(
            "rosterd_suspension_oldest_age_seconds", "Oldest unapplied suspension.", "connection"
        )
        for name in snapshot.connections:
            suspended.add_metric([name], snapshot.suspensions.get(name, 0.0))
        yield suspended
        dead = _family("rosterd_dead_letters", "Open dead letters.", "connection", "reason")
        for name, reason, count in snapshot.dead:
            dead.add_metric([name, reason], count)
        yield dead
        heard = _family("rosterd_connection_last_heard_seconds", "Since last heard.", "connection")
        for feed in snapshot.heard:
            if feed.at is not None:
                heard.add_metric([feed.connection], (snapshot.at - feed.at).total_seconds())
        yield heard
        queues = _family(
            "rosterd_broker_queue_length", "Rings in the broker; -1: unknown.", "queue"
        )
        for name, length in self._queues.items():
            queues.add_metric([name], length)
        yield queues
        notices = _family("rosterd_notices", "Mails that are not out.", "state")
        for state in ("pending", "failed"):
            notices.add_metric([state], snapshot.notices.get(state, 0))
        yield notices
        skew = _family("rosterd_clock_skew_seconds", "This process's clock minus the database's.")
        skew.add_metric([], snapshot.skew)
        yield skew
        swept = _family("rosterd_sweeper_last_success_timestamp_seconds", "Last sweep.")
        swept.add_metric([], snapshot.swept_at.timestamp() if snapshot.swept_at else 0.0)
        yield swept

    def _events(self) -> Iterator[GaugeMetricFamily]:
        labels = ("connection", "lane", "state")
        counts = _family("rosterd_events", "Unended events.", *labels)
        ages = _family("rosterd_event_oldest_age_seconds", "Age of the oldest unended.", *labels)
        known = {(b.connection, b.lane, b.state): b for b in self._snapshot.backlog}
        for name in self._snapshot.connections:
            for lane in Lane:
                for state in OPEN_STATES:
                    found = known.get((name, lane.value, state))
                    counts.add_metric([name, lane.value, state], found.count if found else 0)
                    ages.add_metric([name, lane.value, state], found.oldest if found else 0.0)
        yield counts
        yield ages


def _family(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, labels=list(labels))
