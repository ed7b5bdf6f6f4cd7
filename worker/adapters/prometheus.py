"""The state of things as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.inbox import Lane, Reason
from domain.reconciling import What
from worker.adapters.db.gauges import OPEN_STATES, Dead, Named, Snapshot

#: Reasons by which an event of a connection can die: told as 0 before the first does.
DEAD_REASONS = (
    Reason.ADDRESS_TAKEN,
    Reason.CONFLICT,
    Reason.DOMAIN_NOT_ALLOWED,
    Reason.ERROR,
    Reason.GROUP_EXISTS,
    Reason.GUEST,
    Reason.NEEDS_READING,
    Reason.NO_ADDRESS,
    Reason.OWNED_ELSEWHERE,
    Reason.PROTECTED_GROUP,
    Reason.PROTECTED_USER,
    Reason.TOO_OLD,
    Reason.UNPARSEABLE,
    Reason.WORKER_LOST,
)
NOBODY = Named("", "", "")


class Told(Collector):
    """Families that were made already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._families


def state_gauges(snapshot: Snapshot, queues: dict[str, int]) -> list[Metric]:
    """Every gauge of one snapshot; what is zero is told as zero, and nothing is told twice."""
    swept = snapshot.swept_at.timestamp() if snapshot.swept_at else 0.0
    notices = _family("rosterd_notices", "Mails that are not out.", "state")
    for state in ("pending", "failed"):
        notices.add_metric([state], snapshot.notices.get(state, 0))
    return [
        *_events(snapshot),
        _suspensions(snapshot),
        _tripped(snapshot),
        *_readings(snapshot),
        _paused(snapshot),
        _dead(snapshot),
        _last_heard(snapshot),
        *_read(snapshot),
        *_subscriptions(snapshot),
        *_listeners(snapshot),
        *_feeds(snapshot),
        _expiring(snapshot),
        *_standing(snapshot),
        notices,
        _single(
            "rosterd_clock_skew_seconds",
            "This process's clock minus the database's.",
            snapshot.skew,
        ),
        _single("rosterd_sweeper_last_success_timestamp_seconds", "Last sweep.", swept),
        _queues(queues),
        readable(1.0),
    ]


def unreadable(queues: dict[str, int]) -> list[Metric]:
    """What can be told without the database: that it is away, and the broker's queues."""
    return [_queues(queues), readable(0.0)]


def _events(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    labels = ("account", "connection", "lane", "state")
    counts = _family("rosterd_events", "Unended events.", *labels)
    ages = _family("rosterd_event_oldest_age_seconds", "Age of the oldest unended.", *labels)
    known = {(b.connection_id, b.lane, b.state): b for b in snapshot.backlog}
    for one in snapshot.connections:
        for lane in Lane:
            for state in OPEN_STATES:
                found = known.get((one.connection_id, lane.value, state))
                told = [one.account, one.connection, lane.value, state]
                counts.add_metric(told, found.count if found else 0)
                ages.add_metric(told, found.oldest if found else 0.0)
    yield counts
    yield ages


def _suspensions(snapshot: Snapshot) -> GaugeMetricFamily:
    family = _family(
        "rosterd_suspension_oldest_age_seconds",
        "Oldest unapplied suspension.",
        "account",
        "connection",
    )
    for one in snapshot.connections:
        age = snapshot.suspensions.get(one.connection_id, 0.0)
        family.add_metric([one.account, one.connection], age)
    return family


def _paused(snapshot: Snapshot) -> GaugeMetricFamily:
    says = "1 while an operator has paused the connection: what comes is held (C2)."
    family = _family("rosterd_connection_paused", says, "account", "connection")
    for one in snapshot.connections:
        is_paused = snapshot.states.get(one.connection_id) == "paused"
        family.add_metric([one.account, one.connection], float(is_paused))
    return family


def _tripped(snapshot: Snapshot) -> GaugeMetricFamily:
    says = "1 while what the connection takes away is held: rosterd hold list."
    family = _family("rosterd_breaker_open", says, "account", "connection")
    for one in snapshot.connections:
        is_open = one.connection_id in snapshot.tripped
        family.add_metric([one.account, one.connection], float(is_open))
    return family


def _readings(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    left = "People and groups that are to be read at the identity provider."
    questions = _family("rosterd_directory_questions", left, "account", "connection")
    says = "Requests to the identity provider's directory in a row that got no answer."
    failing = _family("rosterd_directory_failures", says, "account", "connection")
    names = {one.connection_id: [one.account, one.connection] for one in snapshot.connections}
    for one in snapshot.readings:
        if one.connection_id in names:
            questions.add_metric(names[one.connection_id], one.questions)
            failing.add_metric(names[one.connection_id], one.failures)
    yield from (questions, failing)


def _read(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    """Logs that are read on, and what the last reconciliations found; nothing of others."""
    behind = _family(
        "rosterd_catch_up_behind_seconds",
        "Since the identity provider's log was last read to an answer.",
        *("account", "connection"),
    )
    events = _family(
        "rosterd_caught_up_events",
        "What the log told: new events, and known ones, which had come by themselves.",
        *("account", "connection", "result"),
    )
    names = {one.connection_id: [one.account, one.connection] for one in snapshot.connections}
    for log in snapshot.caught_up:
        whose = names.get(log.connection_id, ["", ""])
        behind.add_metric(whose, log.behind(snapshot.at))
        events.add_metric([*whose, "new"], log.found)
        events.add_metric([*whose, "known"], log.known)
    yield behind
    yield events
    yield _differences(snapshot, names)


def _subscriptions(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    """Of connections whose webhooks come by subscriptions; nothing of others."""
    left = _family(
        "rosterd_subscription_life_left_ratio",
        "Of the subscription at the identity provider that ends first; renewed at a half.",
        *("account", "connection"),
    )
    failures = _family(
        "rosterd_subscription_failures",
        "In a row, of making or renewing subscriptions at the identity provider.",
        *("account", "connection"),
    )
    names = {one.connection_id: [one.account, one.connection] for one in snapshot.connections}
    for one in snapshot.subscribed:
        whose = names.get(one.connection_id, ["", ""])
        left.add_metric(whose, one.left)
        failures.add_metric(whose, one.failures)
    yield left
    yield failures


def _differences(snapshot: Snapshot, names: dict[str, list[str]]) -> GaugeMetricFamily:
    says = "What the last reconciliation that finished found: rosterd reconcile --last."
    family = _family("rosterd_differences", says, "account", "connection", "what")
    for run in snapshot.reconciled:
        for what in What:
            ends = f".{what.value}"
            count = sum(n for name, n in run.counts.items() if name.endswith(ends))
            family.add_metric([*names.get(run.connection_id, ["", ""]), what.value], count)
    return family


def _listeners(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    says = "Since an application's endpoint took something, disabled or not; 0: it does."
    failing = _family("rosterd_endpoint_failing_seconds", says, "account", "endpoint")
    left = "Announcements that are not delivered."
    waiting = _family("rosterd_announcements_waiting", left, "account", "endpoint")
    for one in snapshot.listeners:
        failing.add_metric([one.account, one.id], max(one.failing, 0.0))
        waiting.add_metric([one.account, one.id], one.waiting)
    yield failing
    yield waiting


def _dead(snapshot: Snapshot) -> GaugeMetricFamily:
    labels = ("account", "connection", "reason")
    family = _family("rosterd_dead_letters", "Open dead letters.", *labels)
    zeros = [_none_of(one, reason) for one in snapshot.connections for reason in DEAD_REASONS]
    zeros.append(_none_of(NOBODY, Reason.FOREIGN_MESSAGE))
    latest = {(d.connection_id, d.reason): d for d in (*zeros, *snapshot.dead)}
    for letters in latest.values():
        family.add_metric([letters.account, letters.connection, letters.reason], letters.count)
    return family


def _none_of(one: Named, reason: Reason) -> Dead:
    return Dead(one.connection_id, one.account, one.connection, reason.value, 0)


def _last_heard(snapshot: Snapshot) -> GaugeMetricFamily:
    """One series a connection, by whichever of its feeds spoke last; 0 where none may speak."""
    family = _family(
        "rosterd_connection_last_heard_seconds",
        "Since a feed of the connection was last heard; since it was made, if never.",
        "account",
        "connection",
    )
    ages: dict[str, float] = {}
    for feed in snapshot.heard:
        if feed.state != "retired":
            known = ages.get(feed.connection_id, float("inf"))
            ages[feed.connection_id] = min(known, feed.silence(snapshot.at))
    for one in snapshot.connections:
        family.add_metric([one.account, one.connection], ages.get(one.connection_id, 0.0))
    return family


def _feeds(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    """One series a feed, of those that may speak: each its own way to fall silent (C5)."""
    labels = ("account", "connection", "feed")
    ages = _family("rosterd_feed_last_heard_seconds", "Since a feed was last heard.", *labels)
    limits = _family(
        "rosterd_feed_silence_limit_seconds", "So much silence is too much; 0: none is.", *labels
    )
    for feed in snapshot.heard:
        if feed.state != "retired":
            told = [feed.account, feed.connection, feed.feed]
            ages.add_metric(told, feed.silence(snapshot.at))
            limits.add_metric(told, feed.silent_after)
    yield ages
    yield limits


def _expiring(snapshot: Snapshot) -> GaugeMetricFamily:
    family = _family(
        "rosterd_credential_expires_seconds",
        "Until a token, or a secret in use, ends; of those that do within 30 days.",
        "kind",
        "id",
    )
    for one in snapshot.expiring:
        family.add_metric([one.kind, one.id], (one.at - snapshot.at).total_seconds())
    return family


def _standing(snapshot: Snapshot) -> Iterator[GaugeMetricFamily]:
    says = "People who may open private spaces of others who have not accepted; normally none (G4)."
    may = _family("rosterd_private_space_openers", says, "account")
    left = "Groups that no provider manages any more, for what they may do (G3)."
    out = _family("rosterd_groups_dropped_out", left, "account")
    for account, count in snapshot.openers.items():
        may.add_metric([account], count)
        out.add_metric([account], sum(one.account == account for one in snapshot.dropped))
    yield may
    yield out


def _queues(queues: dict[str, int]) -> GaugeMetricFamily:
    family = _family("rosterd_broker_queue_length", "Rings in the broker; -1: unknown.", "queue")
    for name, length in queues.items():
        family.add_metric([name], length)
    return family


def readable(value: float) -> GaugeMetricFamily:
    """The gauge that says whether the others are there."""
    says = "1 while this process reads the state from the database; 0: state gauges are left out."
    return _single("rosterd_state_readable", says, value)


def _single(name: str, says: str, value: float) -> GaugeMetricFamily:
    family = _family(name, says)
    family.add_metric([], value)
    return family


def _family(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, labels=list(labels))
