"""OpenTelemetry: one trace from an identity provider's request to the change that was applied.

An extra (`pip install 'rosterd[otel]'`), loaded where an endpoint is set and nowhere else. What a
trace needs to go on lies with the delivery, so that whoever applies its events, woken by a ring or
by a sweep, an hour later or in a replay, goes on with it. Spans bear ids of ours, no person's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from domain.errors import UsageError
from domain.inbox import Outcome
from domain.ports import Result

HEADER = "traceparent"


def traces_to(endpoint: str, service: str) -> Traces:
    """Spans go to an OTLP/HTTP endpoint, in the background; raises UsageError without the extra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "ROSTERD_OTLP_ENDPOINT needs what is not installed: pip install 'rosterd[otel]'"
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Traces(provider)


class Request:
    """The span of one request. traceparent: what its events carry on."""

    def __init__(self, span: Any, traceparent: str) -> None:
        self._span = span
        self.traceparent = traceparent

    def answered(self, status: int, **told: str | int) -> None:
        """What was answered; told: more about it, without anybody's data."""
        self._span.set_attribute("http.response.status_code", status)
        for name, value in told.items():
            self._span.set_attribute(f"rosterd.{name}", value)


class Traces:
    """Makes spans with a provider of the SDK."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self._provider = provider
        self._trace = trace
        self._tracer = provider.get_tracer("rosterd")
        self._context = tracecontext.TraceContextTextMapPropagator()

    @contextmanager
    def request(self, route: str, method: str, headers: Mapping[str, str]) -> Iterator[Request]:
        """A request of an identity provider, as part of its own trace where it tells of one."""
        parent = self._context.extract({HEADER: headers[HEADER]} if HEADER in headers else {})
        span = self._tracer.start_span(
            f"{method} {route}",
            context=parent,
            kind=self._trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        carried: dict[str, str] = {}
        self._context.inject(carried, self._trace.set_span_in_context(span))
        try:
            yield Request(span, carried.get(HEADER, ""))
        finally:
            span.end()

    def applied(
        self, results: Sequence[Result], traceparents: Mapping[int, str], began: datetime
    ) -> None:
        """What became of events, each in the trace of its delivery. began: of their batch."""
        ended = max(datetime.now(UTC), began)
        for result in results:
            traceparent = traceparents.get(result.event.delivery)
            if traceparent:
                self._one(result, traceparent, began, ended)

    def _one(self, result: Result, traceparent: str, began: datetime, ended: datetime) -> None:
        event = result.event
        span = self._tracer.start_span(
            event.kind.value,
            context=self._context.extract({HEADER: traceparent}),
            kind=self._trace.SpanKind.CONSUMER,
            start_time=_nanoseconds(began),
            attributes={
                "rosterd.event": event.id,
                "rosterd.connection": event.connection,
                "rosterd.lane": event.lane,
                "rosterd.attempt": event.attempts + 1,
                "rosterd.outcome": (result.outcome or result.state).value,
                "rosterd.reason": result.reason.value if result.reason is not None else "",
                "rosterd.waited_ms": int((began - event.received_at).total_seconds() * 1000),
            },
        )
        if result.outcome is Outcome.DEAD:
            # Without the error's text, which may quote what the provider sent.
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(_nanoseconds(ended))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def with_traceparent(headers: bytes, traceparent: str) -> bytes:
    """Kept headers of a delivery, with what its trace needs to go on."""
    return json.dumps({**json.loads(headers), HEADER: traceparent}, sort_keys=True).encode()


def traceparent_in(headers: bytes) -> str:
    """What `with_traceparent` left there; "" where no trace was kept."""
    return str(json.loads(headers).get(HEADER, ""))
