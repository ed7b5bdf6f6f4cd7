"""Metrics that this process counts itself; gauges of state: `adapters/prometheus.py`."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from domain.consequences import NoticeKind
from domain.inbox import Outcome
from domain.ports import Result
from worker.shared_counters import shared_folder

REGISTRY = CollectorRegistry()

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

#: A request that was answered 503, and the source of one whose feed could not be looked up.
UNAVAILABLE, UNKNOWN_SOURCE = "unavailable", "unknown"
RECEIVED = Counter(
    "rosterd_events_received",
    "Events and refused requests by source and result.",
    ["source", "result"],
    registry=REGISTRY,
)
ACK_LATENCY = Histogram(
    "rosterd_ack_latency_seconds",
    "From the last byte of a request to its answer.",
    ["source"],
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
TASK_EVENTS = Counter(
    "rosterd_task_events",
    "Events by the task that worked on them and what became of them.",
    ["task", "outcome"],
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "rosterd_attempts",
    "Attempts by outcome and reason.",
    ["outcome", "reason"],
    registry=REGISTRY,
)
APPLY_LATENCY = Histogram(
    "rosterd_apply_latency_seconds",
    "From receipt to the commit that applied the event.",
    ["lane"],
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
READS = Counter(
    "rosterd_directory_reads",
    "Questions to identity providers about one person or group, by what became of them.",
    ["result"],
    registry=REGISTRY,
)
SUBSCRIPTIONS = Counter(
    "rosterd_subscription_steps",
    "What was done to subscriptions at identity providers: open, renew, close, failed.",
    ["did"],
    registry=REGISTRY,
)
BATCH_SIZE = Histogram(
    "rosterd_batch_size",
    "Events in one committed batch.",
    buckets=(1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000),
    registry=REGISTRY,
)
REPLAYED = Counter(
    "rosterd_replay_events",
    "Attempts at replayed events by result.",
    ["result"],
    registry=REGISTRY,
)
RINGS = Counter(
    "rosterd_rings",
    "Rings sent to the broker by result.",
    ["result"],
    registry=REGISTRY,
)
NOTICES = Counter(
    "rosterd_mails",
    "Tries to send a mail, by kind of mail and result.",
    ["kind", "result"],
    registry=REGISTRY,
)
#: unreachable: the server itself was the matter, and the mail waits.
MAIL_RESULTS = ("sent", "retrying", "unreachable", "failed", "lease_lost")
SIGN_INS = Counter(
    "rosterd_sign_ins",
    "How operators' signing in went, by way and result.",
    ["way", "result"],
    registry=REGISTRY,
)
#: Each is told as 0 before its first: a run of refusals is seen from its beginning.
SIGN_IN_WAYS, SIGN_IN_RESULTS = ("link", "password", "openid"), ("done", "refused", "limited")
MEMBER_PAGES = Counter(
    "rosterd_member_pages",
    "Requests for members' pages by kind of link and result.",
    ["kind", "result"],
    registry=REGISTRY,
)
DISPATCHED = Counter(
    "rosterd_announcements",
    "Tries to tell an application of a change, by result.",
    ["result"],
    registry=REGISTRY,
)
ANNOUNCE_LATENCY = Histogram(
    "rosterd_announcement_latency_seconds",
    "From the commit of a change to the application's 2xx at the first try.",
    ["lane"],
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
#: Everything that is ever reported to have happened although it cannot.
BUG_KINDS = (
    "batch_broke",
    "connection_lost",
    "event_stuck",
    "group_broke",
    "keys_unreadable",
    "marker_unrepairable",
    "override_not_ended",
    "scim_lease_lost",
    "scim_request_failed",
    "session_ended",
    "transactions_met",
    "worker_stalled",
)
BUGS = Counter(
    "rosterd_invariant_violations",
    "Things that cannot happen: broken batches and groups.",
    ["kind"],
    registry=REGISTRY,
)

# Finding a labelled child costs more than counting: these two are asked for by every request.
received = cache(RECEIVED.labels)
ack_latency = cache(ACK_LATENCY.labels)

# An alert on increase() does not see a series appear with 1: each is there from the start, with 0.
for kind in BUG_KINDS:
    BUGS.labels(kind)
for outcome in Outcome:
    REPLAYED.labels(outcome.value)
for notice in NoticeKind:
    for mail_result in MAIL_RESULTS:
        NOTICES.labels(notice.value, mail_result)


def exposition() -> bytes:
    """Prometheus' text of the counters: of this process, or of all that share a folder."""
    return generate_latest(shared_registry() if shared_folder() else REGISTRY)


def shared_registry() -> CollectorRegistry:
    """The counters of all processes that share the folder; ValueError where none is named."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def count_results(results: Sequence[Result], *, now: datetime) -> None:
    """Count a committed batch."""
    BATCH_SIZE.observe(len(results))
    done = collections.Counter(
        (
            result.event.kind.value,
            (result.outcome or result.state).value,
            result.reason.value if result.reason is not None else "",
        )
        for result in results
    )
    for (kind, ended, reason), count in done.items():
        TASK_EVENTS.labels(kind, ended).inc(count)
        ATTEMPTS.labels(ended, reason).inc(count)
    for result in results:
        if result.event.is_in_replay:
            REPLAYED.labels((result.outcome or result.state).value).inc()
        if result.outcome is not None and result.event.is_first_try:
            age = (now - result.event.received_at).total_seconds()
            APPLY_LATENCY.labels(result.event.lane).observe(max(age, 0.0))
