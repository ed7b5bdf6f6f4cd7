"""One run: a history sent by patient identity providers while the fleet is injured."""

from __future__ import annotations

import itertools
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from tests.chaos.fleet import Fleet
from tests.chaos.history import History, history, short
from tests.servers import PostgresServer, RabbitServer, RedisServer
from worker.adapters.db import rows
from worker.cli.sender import Sent, send
from worker.cli.stage import Stage

SENDERS = 4
#: Requests a second, all of them together, while injuries go on: none falls into a silence.
RATE = 80
#: Of three kills two wait for somebody to pass the next named point; the third takes anybody.
THIRD = 3
SETTLE_SECONDS = 240.0
BROKERS: dict[str, type[RedisServer | RabbitServer]] = {
    "redis": RedisServer,
    "rabbitmq": RabbitServer,
}
#: Every kind of fault, in the order in which they come.
FAULTS = (
    "broker flushed",
    "worker frozen 25 s",
    "broker killed",
    "database crashed",
    "broker silent 6 s",
    "database backend killed",
    "rolling restart",
    "database restarted",
)
FAULT_POINTS = [
    "web.before_insert",
    "web.after_insert",
    "web.after_commit",
    "any.before_ring",
    "any.after_ring",
    "worker.after_claim",
    "worker.before_commit",
    "worker.between_commit_and_ack",
]


@dataclass(slots=True)
class Told:
    """What came of a run. recovery: seconds from an injury to the next event applied after it."""

    broker: str
    requests: int = 0
    facts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    dead: int = 0
    broken: list[str] = field(default_factory=list)
    settled: float = 0.0
    injured_at: list[datetime] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)

    @property
    def row(self) -> dict[str, object]:
        """The line of the table."""
        found = sorted(self.recovery) or [0.0]
        return {
            "broker": self.broker,
            "kills": self.kills.total(),
            "faults": self.faults.total(),
            "events": self.facts,
            "requests": self.requests,
            "lost": self.lost,
            "doubled": self.doubled,
            "differing": self.differing,
            "recovery_median_s": round(statistics.median(found), 2),
            "recovery_p95_s": round(found[int(len(found) * 0.95) - 1], 2),
            "recovery_max_s": round(found[-1], 2),
        }


def play(broker: str, *, people: int, kills: int, faults: int, seed: int) -> Told:
    """Start servers and fleet of its own, injure them, compare; nothing is left running."""
    folder = Path(tempfile.mkdtemp(prefix="rosterd-chaos-"))
    folder.chmod(0o755)
    database, queue = PostgresServer(folder / "postgres"), BROKERS[broker](folder / "broker")
    told = Told(broker)
    try:
        database.start()
        queue.start()
        data = folder / "rosterd"
        data.mkdir()
        fleet = Fleet(data, database_url=database.url, broker_url=queue.url)
        fleet.start()
        try:
            _play(
                fleet, database, queue, told, people=people, kills=kills, faults=faults, seed=seed
            )
        finally:
            fleet.stop()
    finally:
        queue.stop()
        database.stop()
    if not (told.lost or told.doubled or told.differing or told.broken):
        # What went wrong can be looked at: logs and database stay.
        shutil.rmtree(folder)
    return told


def points_of(broker: str) -> list[str]:
    """The named points that processes pass on this broker."""
    return [*FAULT_POINTS, *(["redis.popped_not_noted"] if broker == "redis" else [])]


def _play(
    fleet: Fleet,
    database: PostgresServer,
    queue: RedisServer | RabbitServer,
    told: Told,
    *,
    people: int,
    kills: int,
    faults: int,
    seed: int,
) -> None:
    dice = random.Random(seed)
    stage = Stage(fleet.parts, fleet.url)
    story = history(stage, people=people, dice=dice)
    told.facts = len(story.facts)
    idps = _Providers(story, told, seed)
    idps.start()
    injuries = ["kill"] * kills + ["fault"] * faults
    dice.shuffle(injuries)
    points = itertools.cycle(points_of(told.broker))
    hurts = _faults(fleet, database, queue, dice)
    kinds = itertools.cycle(FAULTS)
    for number, injury in enumerate(injuries):
        idps.pace(number / len(injuries))
        if injury == "fault":
            kind = next(kinds)
            told.injured_at.append(datetime.now(UTC))
            hurts[kind]()
            told.faults[kind] += 1
        else:
            is_anybody = told.kills.total() % THIRD == THIRD - 1
            killed = None if is_anybody else fleet.kill_at(next(points))
            while (killed := killed or fleet.kill(dice)) is None:
                time.sleep(0.2)
            told.injured_at.append(datetime.now(UTC))
            told.kills[killed] += 1
        time.sleep(dice.uniform(0.1, 0.8))
    fleet.await_thawed()
    idps.pace(1.0)
    idps.join()
    began = time.monotonic()
    while _open(stage) and time.monotonic() - began < SETTLE_SECONDS:
        time.sleep(0.2)
    told.settled = time.monotonic() - began
    _judge(stage, story, told)
    log = fleet.log.read_text(errors="replace").splitlines()
    told.broken = [line for line in log if "batch_broke" in line or "group_broke" in line]


def _faults(
    fleet: Fleet, database: PostgresServer, queue: RedisServer | RabbitServer, dice: random.Random
) -> dict[str, Callable[[], object]]:
    return {
        "broker flushed": queue.flush,
        "broker killed": queue.kill,
        "database crashed": lambda: database.restart("immediate"),
        "broker silent 6 s": lambda: queue.freeze(6.0),
        "database backend killed": database.kill_backend,
        "database restarted": lambda: database.restart("fast"),
        "rolling restart": fleet.roll,
        "worker frozen 25 s": lambda: fleet.freeze(dice),
    }


class _Providers:
    """Identity providers that send again until they are told 2xx."""

    def __init__(self, story: History, told: Told, seed: int) -> None:
        self._requests = story.requests(random.Random(seed + 1))
        self._total = len(story.facts) * 1.2
        self._told = told
        self._lock = threading.Lock()
        self._allowed = 0.0
        self._is_hurried = False
        self._threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def pace(self, share: float) -> None:
        """How much of the history may be out by now; the last of it only after the last injury."""
        self._allowed = 0.02 + share if share < 1 else 2.0
        self._is_hurried = share >= 1

    def _send_all(self) -> None:
        while True:
            while self._told.requests > self._allowed * self._total:
                time.sleep(0.01)
            with self._lock:
                sent = next(self._requests, None)
                self._told.requests += sent is not None
            if sent is None:
                return
            self._insist(sent)
            if not self._is_hurried:
                time.sleep(SENDERS / RATE)

    def _insist(self, sent: Sent) -> None:
        for tried in itertools.count():
            try:
                status = str(send(sent, timeout=5.0))
            except OSError as error:
                status = type(error).__name__
            with self._lock:
                self._told.answers[status] += 1
            if status.startswith("2"):
                return
            time.sleep(min(0.05 * 2**tried, 1.0))


def _open(stage: Stage) -> int:
    events = rows.events
    with stage.parts.database.read() as connection:
        found = connection.execute(
            select(func.count()).select_from(events).where(events.c.state.not_in(["ended", "dead"]))
        )
        return int(found.scalar_one())


def _judge(stage: Stage, story: History, told: Told) -> None:
    events = rows.events
    with stage.parts.database.read() as connection:
        states = select(events.c.state, func.count()).group_by(events.c.state)
        count = {row[0]: int(row[1]) for row in connection.execute(states)}
        told.lost = told.facts - count.get("ended", 0)
        told.dead = count.get("dead", 0)
        told.doubled = max(0, sum(count.values()) - told.facts)
        for table, key in (
            (rows.audit, ("event_id", "subject", "action")),
            (rows.notices, ("link_id", "kind", "address")),
        ):
            columns = [table.c[name] for name in key]
            twice = select(*columns).where(columns[0].is_not(None)).group_by(*columns)
            told.doubled += len(connection.execute(twice.having(func.count() > 1)).all())
        for moment in told.injured_at:
            next_end = connection.execute(
                select(func.min(events.c.ended_at)).where(events.c.received_at > moment)
            ).scalar()
            if next_end is not None:
                told.recovery.append((next_end - moment).total_seconds())
    for account, expected in story.expected.items():
        lines = stage.directory(account)
        told.differing += len(short(lines) ^ expected)
        told.doubled += len(lines) - len(short(lines))
