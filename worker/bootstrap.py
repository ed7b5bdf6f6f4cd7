"""The one place that joins settings, adapters and use cases; everything is built per process."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, cast
from uuid import uuid4

import structlog
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from prometheus_client.core import Metric

from domain.directories import Directory
from domain.dispatches import Dispatch
from domain.inbox import Kind, Lane, Outcome
from domain.notices import Mailer
from domain.outbound import parse_allowed
from domain.ports import DrainWork, Result
from domain.provisioning import ProvisionWork
from domain.resources import Ask
from worker import telemetry
from worker.adapters.broker import state as broker_state
from worker.adapters.broker.app import make_celery
from worker.adapters.broker.ringer import CeleryRinger
from worker.adapters.db.by_hand import SQLHandStore
from worker.adapters.db.carried import carried
from worker.adapters.db.dispatches import SQLDispatches
from worker.adapters.db.draining import drain_work
from worker.adapters.db.due import NOW, kinds_due
from worker.adapters.db.engine import Changing, Database
from worker.adapters.db.foreign import collect_foreign
from worker.adapters.db.gauges import Gauges
from worker.adapters.db.groups_by_hand import SQLGroupStore
from worker.adapters.db.import_trial import ImportTrial
from worker.adapters.db.importing import ImportOrder, SQLImportStore, TrialImportStore
from worker.adapters.db.kept_connections import KeptConnections
from worker.adapters.db.members import SQLMembers
from worker.adapters.db.minutes import MinuteCounts
from worker.adapters.db.notices import SQLOutbox
from worker.adapters.db.once import forget_answers
from worker.adapters.db.overriding import SQLOverrides
from worker.adapters.db.provisioning import sql_provision
from worker.adapters.db.readings import Readings
from worker.adapters.db.reannouncing import SQLReannounce
from worker.adapters.db.retention import retain_announcements, retain_bodies
from worker.adapters.db.scim_later import SQLLater
from worker.adapters.db.uow import SQLWork
from worker.adapters.key_file import generated_keys
from worker.adapters.key_ring import KeyRing
from worker.adapters.mail import FileMailer, SMTPMailer
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.prometheus import state_gauges, unreadable
from worker.adapters.scim.later import failed, perform
from worker.adapters.scim.names import ScimNames
from worker.adapters.sources.registry import source_named
from worker.adapters.tracing import Traces, traces_to
from worker.adapters.vault import Vault, new_id
from worker.adapters.webhook import WebhookPoster
from worker.bootstrap_directories import DirectoryParts
from worker.bootstrap_operators import OperatorParts
from worker.bootstrap_reading import ReadingParts
from worker.bootstrap_replay import ReplayParts, observing
from worker.logs import configure_logs
from worker.services.admit import PeopleByHand
from worker.services.announce import Announce
from worker.services.answer_later import AnswerLater
from worker.services.deliver import REQUEST_SECONDS, Deliver
from worker.services.drain import Drain
from worker.services.group import GroupsByHand
from worker.services.importing import Importing, ImportStore
from worker.services.notify import Notify
from worker.services.observe import Observe
from worker.services.provision import Provision
from worker.services.readdress import Readdress
from worker.services.replay import Replay
from worker.services.sweep import Sweep
from worker.settings import Settings, load_settings


@dataclass(frozen=True)
class Container:
    """Lazily built parts of one process. Never share one across a fork."""

    settings: Settings
    #: What wakes the senders of this process, where it has any.
    couriers: list[Callable[[], None]] = field(default_factory=list)
    #: Whether a worker of the urgent lane is to tell what is urgent: this process drains others.
    leaves_urgent: bool = False

    source_named = staticmethod(source_named)

    @cached_property
    def database(self) -> Database:
        """The database; connections are opened on first use."""
        self.settings.made_data_dir()
        return Database(
            self.settings.database, report=self.report, announced=self.ring_announcements
        )

    @cached_property
    def vault(self) -> Vault:
        """Sealing with ROSTERD_SECRET_KEYS, or the keys generated in the data directory."""
        given = [key.get_secret_value() for key in self.settings.secret_keys]
        return Vault(given or generated_keys(self.settings.made_data_dir()))

    @cached_property
    def readings(self) -> Readings:
        """What operators look at."""
        return Readings(self.database, self.vault)

    @cached_property
    def celery(self) -> Celery:
        """The Celery app, without tasks: enough to publish."""
        return make_celery(self.settings.broker, sweep_seconds=self.settings.sweep_seconds)

    @cached_property
    def ringer(self) -> CeleryRinger:
        """The way to wake workers."""
        return CeleryRinger(
            self.celery,
            sweep_seconds=self.settings.sweep_seconds,
            told=lambda result: telemetry.RINGS.labels(result).inc(),
        )

    @cached_property
    def worker_id(self) -> str:
        """This process among all workers, now and ever."""
        return f"{socket.gethostname()}:{os.getpid()}:{new_id('run')}"

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """The process's logger."""
        return cast("structlog.stdlib.BoundLogger", structlog.get_logger("rosterd"))

    def works(self) -> AbstractContextManager[SQLWork]:
        """A unit of work of the drain."""
        whose: dict[str, Any] = {"vault": self.vault, "worker": self.worker_id}
        seconds = self.settings.link_life.total_seconds()
        return drain_work(self.database, self.kept_connections, link_seconds=seconds, **whose)

    @cached_property
    def traces(self) -> Traces | None:
        """Where spans go, where an endpoint for them is set."""
        endpoint = self.settings.otlp_endpoint
        return traces_to(endpoint, "rosterd") if endpoint is not None else None

    @cached_property
    def drain(self) -> Drain:
        """The drain that all tasks share."""
        return Drain(
            works=cast("Callable[[], AbstractContextManager[DrainWork]]", self.works),
            source_named=self.source_named,
            new_id=lambda: new_id("usr"),
            random=random.random,
            monotonic=time.monotonic,
            sleep=time.sleep,
            report=self.report,
            after=self.measured,
            new_hold_id=lambda: new_id("hld"),
            batch_size=self.settings.effective_batch_size,
            interrupts=(SoftTimeLimitExceeded,),
        )

    @cached_property
    def kept_connections(self) -> KeptConnections:
        """Connections of the threads that speak SCIM, and of those that drain."""
        return KeptConnections(self.database)

    @cached_property
    def provision(self) -> Provision:
        """Writes of SCIM."""

        def works(asks: Sequence[Ask], waits: bool) -> AbstractContextManager[ProvisionWork]:  # noqa: FBT001
            whose: dict[str, Any] = {"waits": waits, "vault": self.vault, "worker": self.worker_id}
            seconds, kept = self.settings.link_life.total_seconds(), self.kept_connections
            made = sql_provision(self.database, kept, asks, link_seconds=seconds, **whose)
            return cast("AbstractContextManager[ProvisionWork]", made)

        return Provision(
            works=works,
            names=ScimNames(),
            new_person=lambda: new_id("usr"),
            new_resource=lambda: str(uuid4()),
            new_hold=lambda: new_id("hld"),
            random=random.random,
            sleep=time.sleep,
            report=self.report,
            after=self.provisioned,
        )

    @cached_property
    def later(self) -> SQLLater:
        """SCIM requests that are answered later."""
        return SQLLater(self.database, self.vault)

    @cached_property
    def answer_later(self) -> AnswerLater:
        """Answers them."""
        done = partial(perform, write=self.provision.write)
        return AnswerLater(self.later, done, failed, self.report, time.monotonic)

    def ring_later(self) -> None:
        """Ask a worker to answer them."""
        self.ringer.ring_task("scim.answer", Lane.BULK.value)

    def provisioned(self, work: ProvisionWork, results: Sequence[Result]) -> None:
        """Count committed writes, send what they announced, ask for the mails that follow."""
        self.measured(cast("DrainWork", work), results)
        if any(result.outcome is Outcome.APPLIED for result in results):
            self.ring_notices()

    @cached_property
    def readdress(self) -> Readdress:
        """Forecasts of another address rule."""
        works = cast("Callable[[], AbstractContextManager[DrainWork]]", self.works)
        return Readdress(works, new_id=lambda: new_id("usr"))

    @cached_property
    def notify(self) -> Notify:
        """Mails that are due."""
        return Notify(
            outbox=SQLOutbox(self.database, self.vault),
            mailer=self.mailer,
            public_url=self.settings.public_url,
            random=random.random,
            told=self.told_of_notice,
            monotonic=time.monotonic,
            hook=self.operators.alert_hook,
        )

    def told_of_notice(self, kind: str, result: str) -> None:
        """Count and log what became of a mail."""
        telemetry.NOTICES.labels(kind, result).inc()
        self.log.info("notice_handled", kind=kind, result=result)

    @cached_property
    def mailer(self) -> Mailer:
        """SMTP where a server is set, else files in the data directory."""
        sender, reply_to = self.settings.mail_from, self.settings.mail_reply_to
        if self.settings.smtp_url is not None:
            url = self.settings.smtp_url.get_secret_value()
            return SMTPMailer(url, sender=sender, reply_to=reply_to)
        return FileMailer(self.settings.data_dir / "mail", sender=sender, reply_to=reply_to)

    @cached_property
    def members(self) -> SQLMembers:
        """Members' links and answers."""
        return self.members_on(self.database)

    def members_on(self, database: Changing) -> SQLMembers:
        """The same, in transactions of this one."""
        seconds = self.settings.link_life.total_seconds()
        return SQLMembers(self.database, self.vault, changing=database, link_seconds=seconds)

    @cached_property
    def people(self) -> PeopleByHand:
        """What operators do to people."""
        return self.people_on(self.database)

    def people_on(self, database: Changing) -> PeopleByHand:
        """The same, in transactions of this one."""
        seconds = self.settings.link_life.total_seconds()
        store = SQLHandStore(database, self.vault, link_seconds=seconds)
        return PeopleByHand(store=store, new_id=lambda: new_id("usr"), ring=self.ring_notices)

    def importing(self, order: ImportOrder, *, is_trial: bool) -> Importing:
        """An import of people, groups and memberships, or its dry run."""
        seconds = self.settings.link_life.total_seconds()
        store = (
            TrialImportStore(self.database, order, ImportTrial())
            if is_trial
            else SQLImportStore(self.database, self.vault, order, link_seconds=seconds)
        )
        return Importing(
            store=cast("ImportStore", store),
            new_user=lambda: new_id("usr"),
            new_group=lambda: new_id("grp"),
            account=order.account,
            batch_size=self.settings.effective_batch_size,
        )

    @cached_property
    def overrides(self) -> SQLOverrides:
        """Operators' overrides of people."""
        seconds = self.settings.link_life.total_seconds()
        return SQLOverrides(self.database, self.vault, link_seconds=seconds, report=self.report)

    @cached_property
    def groups(self) -> GroupsByHand:
        """What operators do to groups."""
        return self.groups_on(self.database)

    def groups_on(self, database: Changing) -> GroupsByHand:
        """The same, in transactions of this one."""
        return GroupsByHand(store=SQLGroupStore(database), new_id=lambda: new_id("grp"))

    @cached_property
    def sweep(self) -> Sweep:
        """Repair and ring."""
        return Sweep(
            sweeper=self.operators.sweeper(self.worker_id, self.report),
            watch=self.operators.watch.run,
            ringer=self.ringer,
            ring_notices=self.ring_notices,
            end_overrides=self.overrides.end_due,
            ring_announcements=self.ring_announcements,
            is_later_due=self.later.is_due,
            ring_later=self.ring_later,
            ring_questions=self.directories.ring_due,
        )

    @cached_property
    def outbound_http(self) -> OutboundHTTP:
        """The way to addresses that come from settings (D18)."""
        return OutboundHTTP(parse_allowed(self.settings.outbound_allow))

    @cached_property
    def directories(self) -> DirectoryParts:
        """Identity providers' own directories."""
        parts = (self.database, self.vault, self.ringer, self.settings)
        return DirectoryParts(*parts, lambda: self.outbound_http)

    def directory_of(self, connection: str) -> Directory | None:
        """The directory of a connection at its IdP; None where rosterd has no access to it."""
        return self.directories.of(connection)

    @cached_property
    def key_ring(self) -> KeyRing:
        """Public keys of those who sign with a key of their own."""
        return KeyRing(self.outbound_http, monotonic=time.monotonic)

    @cached_property
    def webhooks(self) -> WebhookPoster:
        """Composes, signs and sends announcements."""
        return WebhookPoster(
            self.outbound_http, clock=lambda: datetime.now(UTC), seconds=REQUEST_SECONDS
        )

    @cached_property
    def deliver(self) -> Deliver:
        """Announcements that are due."""
        return Deliver(
            dispatches=SQLDispatches(self.database, self.vault, self.endpoint_disabled),
            poster=self.webhooks,
            compose=self.webhooks.compose,
            random=random.random,
            told=self.dispatched,
        )

    @cached_property
    def announce(self) -> Announce:
        """Replay of announcements."""
        return Announce(SQLReannounce(self.database, self.vault), ring=self.ring_announcements)

    def dispatched(self, dispatch: Dispatch, result: str) -> None:
        """Count and log one try."""
        telemetry.DISPATCHED.labels(result).inc()
        if result == "delivered" and not dispatch.attempts:
            age = (datetime.now(UTC) - dispatch.made_at).total_seconds()
            telemetry.ANNOUNCE_LATENCY.labels(dispatch.lane.value).observe(max(age, 0.0))
        fields = {"endpoint": dispatch.endpoint, "type": dispatch.type, "result": result}
        self.log.info("announcement_handled", message_id=dispatch.message_id, **fields)

    def endpoint_disabled(self, endpoint: str, why: str) -> None:
        """An application hears nothing more until an operator resumes its endpoint."""
        self.log.error("endpoint_disabled", endpoint=endpoint, why=why)

    def ring_announcements(self, *, is_urgent: bool = True) -> None:
        """Let what was announced be sent at once: here, or by a worker that is rung.

        is_urgent: somebody loses access; a process busy with other lanes leaves that to another.
        """
        for wake in self.couriers:
            wake()
        if not self.couriers or (is_urgent and self.leaves_urgent):
            self.ringer.ring_task("announcements.send", Lane.URGENT.value)

    def ring_notices(self) -> None:
        """Ask for the mails that are due to be sent, by whom no event waits for."""
        self.ringer.ring_task("notices.send", Lane.BULK.value)

    @cached_property
    def gauges(self) -> Gauges:
        """The state of things."""
        return Gauges(self.database, clock=lambda: datetime.now(UTC))

    def state_gauges(self) -> list[Metric]:
        """The state for Prometheus; while the database is away that is said, and the rest told."""
        queues = self.queue_lengths()
        try:
            return state_gauges(self.gauges.snapshot(), queues)
        except Exception as error:  # noqa: BLE001 - counters are told whatever is the matter
            self.log.warning("state_unreadable", why=str(error))
            return unreadable(queues)

    @cached_property
    def operators(self) -> OperatorParts:
        """Operators: who they are, how they sign in."""
        return OperatorParts(self.database, self.settings, self.gauges, lambda: self.outbound_http)

    def queue_lengths(self) -> dict[str, int]:
        """Rings in each queue of the broker; -1 where it cannot be told."""
        return broker_state.queue_lengths(self.celery)

    def broker_unfit(self) -> str:
        """Why the broker should not be used, with the remedy; "" if fit, raises if it is away."""
        return broker_state.unfit(self.celery)

    def warn_of_broker(self) -> None:
        """An unfit broker is said at the start, not found out at 3 a.m. (F07)."""
        why = broker_state.unfit_if_told(self.celery)
        if why:
            self.log.error("broker_unfit", why=why)

    @cached_property
    def replays(self) -> ReplayParts:
        """Replays, discards and what there is about them."""
        return ReplayParts(self.database, self.drain, self.ringer, self.vault, self.worker_id)

    @cached_property
    def reading(self) -> ReadingParts:
        """What reads identity providers' directories by itself."""
        whose = (self.vault, self.ringer, self.worker_id)
        return ReadingParts(self.database, *whose, self.directory_of, self.settings.public_url)

    @property
    def replay(self) -> Replay:
        """Replay of dead letters."""
        return self.replays.replay

    @cached_property
    def observe(self) -> Observe:
        """Plans of connections that observe."""
        return observing(self.settings, self.database, self.vault, self.drain, self.worker_id)

    def kinds_due(self, lane: Lane, *, since: timedelta = NOW) -> list[Kind]:
        """Kinds of which something is due in this lane, and has been for so long."""
        return kinds_due(self.kept_connections, lane, since=since)

    def is_broker_answering(self) -> bool:
        """Whether the broker takes a connection right now; bounded by its time-outs."""
        return broker_state.is_answering(self.celery)

    def collect_dead(self) -> dict[str, int]:
        """Move what nobody understood from the broker's dead queue into the table."""
        return collect_foreign(self.celery, self.database, self.vault, ring=self.ringer)

    def retain(self) -> dict[str, int]:
        """Delete bodies and announcements that retention lets go, and answers of a day ago."""
        forget_answers(self.database)
        days = self.settings.retention_days
        self.later.forget(days=days)
        told = retain_announcements(self.database, days=days)
        if told["dropped"]:
            self.log.warning("announcements_dropped", count=told["dropped"], days=days)
        told |= self.replays.retain(days=days) | self.directories.retain(days=days)
        told |= self.reading.retain(days=days)
        return {**retain_bodies(self.database, days=days), **told}

    def report(self, event: str, fields: Mapping[str, object]) -> None:
        """Something that should not happen did; it is counted and logged."""
        telemetry.BUGS.labels(event).inc()
        self.log.warning(event, **fields)

    def measured(self, work: DrainWork, results: Sequence[Result]) -> None:
        """Count a committed batch, and send at once what it announced."""
        if work.has_announced:
            self.ring_announcements(is_urgent=work.has_urgent_news)
        self.directories.ring_for(results)
        telemetry.count_results(results, now=work.now)
        if self.traces is not None:
            self.traces.applied(results, carried(self.database, self.vault, results), work.now)
        self.minutes.count(results, now=work.now)

    @cached_property
    def minutes(self) -> MinuteCounts:
        """What this process does, by the minute."""
        return MinuteCounts(self.database)

    def close(self) -> None:
        """Let go of connections."""
        for name in ("outbound_http", "operators", "kept_connections", "traces", "database"):
            if (used := self.__dict__.get(name)) is not None:
                getattr(used, "dispose" if name == "database" else "close")()


def build(**overrides: object) -> Container:
    """A container with logs configured; raises SettingsError."""
    settings = load_settings(**overrides)
    configure_logs(level=settings.log_level, format_=settings.log_format)
    return Container(settings)
