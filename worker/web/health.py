"""Machines' probes: alive, ready, healthy, and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from domain.ports import InfrastructureError
from worker import telemetry
from worker.adapters.db.operators import may_read_metrics
from worker.adapters.db.schema import is_current
from worker.adapters.prometheus import Told
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container

LOOPBACK = ("127.0.0.1", "::1")
#: What proxies add to a request that they pass on; also whatever begins with x-forwarded-.
PASSED_ON = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip"})
#: A sweep older than this many intervals is late.
LATE_SWEEPS = 4


def routes(parts: Container) -> list[Route]:
    """The endpoints."""
    for source in (*SOURCES, telemetry.UNKNOWN_SOURCE):
        telemetry.RECEIVED.labels(source, telemetry.UNAVAILABLE)
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
        try:
            if not self._may_read(request):
                return PlainTextResponse("a token with scope metrics is needed\n", 401)
        except InfrastructureError as error:
            # ROSTERD_METRICS_TOKEN is checked without the database.
            return PlainTextResponse(f"no token can be checked: {error}\n", 503)
        registry = CollectorRegistry()
        registry.register(Told(self._parts.state_gauges()))
        text = telemetry.exposition() + generate_latest(registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    def _may_read(self, request: Request) -> bool:
        if _is_from_here(request):
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


def _is_from_here(request: Request) -> bool:
    """Whether this machine itself asks; a proxy on it speaks for others, and says so."""
    if request.client is None or request.client.host not in LOOPBACK:
        return False
    names = [name.lower() for name in request.headers]
    return not any(name in PASSED_ON or name.startswith("x-forwarded-") for name in names)


def _checked(check: Callable[[], tuple[str, str]]) -> dict[str, Any]:
    try:
        state, detail = check()
    except InfrastructureError as error:
        state, detail = "down", str(error)
    return {"state": state, "detail": detail}
