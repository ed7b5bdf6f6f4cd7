"""The broker: one Celery app with measured settings, and rings that never hold anybody up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from domain.inbox import Kind, Lane
from worker.adapters.redis_transport import DEAD_QUEUE

#: Rings of one process are gathered this long; the last one always goes out (D11).
COALESCE_SECONDS = 0.02
#: A ring names at most so many events; it carries no authority.
NAMED_EVENTS = 20

REDIS_OPTIONS: dict[str, Any] = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "global_keyprefix": "rosterd:",
    # kombu tries a publisher's connection again for 4 s: a ring is not worth that, the sweep
    # rings again, and a consumer waits by settings of its own.
    "max_retries": 0,
}


def make_celery(broker_url: str, *, sweep_seconds: float) -> Celery:
    """The app that publishes and consumes; tasks are registered by `worker.tasks`."""
    TRANSPORT_ALIASES["redis"] = "worker.adapters.redis_transport:Transport"
    TRANSPORT_ALIASES["rediss"] = "worker.adapters.redis_transport:Transport"
    app = Celery("rosterd", broker=broker_url, set_as_current=False)
    exchange = Exchange("rosterd", type="direct")
    app.conf.update(
        task_queues=[Queue(lane.value, exchange, routing_key=lane.value) for lane in Lane]
        + [Queue(DEAD_QUEUE, exchange, routing_key=DEAD_QUEUE)],
        task_default_queue=Lane.STANDARD.value,
        task_default_exchange="rosterd",
        task_default_routing_key=Lane.STANDARD.value,
        task_create_missing_queues=False,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_time_limit=50,
        task_soft_time_limit=40,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=20_000,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        worker_consumer="worker.tasks.consumer:Consumer",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=4,
        broker_transport_options=REDIS_OPTIONS if broker_url.startswith("redis") else {},
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={
            "sweep": {
                "task": "maintenance.sweep",
                "schedule": timedelta(seconds=sweep_seconds),
                "options": {"queue": Lane.URGENT.value, "expires": sweep_seconds},
            },
            "collect-dead": {
                "task": "maintenance.collect_dead",
                "schedule": timedelta(seconds=sweep_seconds),
                "options": {"queue": Lane.STANDARD.value, "expires": sweep_seconds},
            },
            "retain": {
                "task": "maintenance.retain",
                "schedule": timedelta(minutes=10),
                "options": {"queue": Lane.STANDARD.value, "expires": 600},
            },
        },
    )
    return app


Told = Callable[[str], None]


class CeleryRinger:
    """Publishes rings from a thread of its own: after commit, best effort, coalesced (D11)."""

    def __init__(self, app: Celery, *, sweep_seconds: float, told: Told) -> None:
        self._app = app
        self._expires = sweep_seconds
        self._told = told
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], dict[str, Any]] = {}
        self._stirred = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)
        self._thread.start()

    def ring(self, kind: Kind, lane: str, *, connection: str, event_ids: Sequence[int]) -> None:
        """Ask for a drain; returns at once."""
        with self._lock:
            args = self._pending.setdefault(
                (kind.value, lane), {"connection": connection, "count": 0, "event_ids": []}
            )
            args["count"] += len(event_ids)
            room = NAMED_EVENTS - len(args["event_ids"])
            args["event_ids"] += list(event_ids)[: max(room, 0)]
        self._stirred.set()

    def ring_task(self, name: str, lane: str) -> None:
        """Ask for a task that takes no arguments."""
        with self._lock:
            self._pending.setdefault((name, lane), {})
        self._stirred.set()

    def stop(self) -> None:
        """Send what is pending, then end."""
        self._stopping = True
        self._stirred.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._stirred.wait()
            if not self._stopping:
                threading.Event().wait(COALESCE_SECONDS)
            # Cleared before the take: a ring that comes now wakes the next turn.
            self._stirred.clear()
            with self._lock:
                pending, self._pending = self._pending, {}
            self._send_all(pending)
            if self._stopping and not self._pending:
                return

    def _send_all(self, pending: dict[tuple[str, str], dict[str, Any]]) -> None:
        """One failure is enough for all: the broker is away, and the sweep rings again."""
        is_answering = True
        for (name, lane), args in pending.items():
            is_answering = is_answering and self.send(name, lane, args)
            self._told("sent" if is_answering else "failed")

    def send(self, name: str, lane: str, args: dict[str, Any]) -> bool:
        """Publish now; False where the broker does not take it."""
        try:
            self._app.send_task(
                name,
                kwargs=args,
                queue=lane,
                expires=self._expires,
                retry=False,
                ignore_result=True,
            )
        except Exception:  # noqa: BLE001 - the row is the queue; the sweep rings again (G6)
            return False
        return True


def queue_lengths(app: Celery) -> dict[str, int]:
    """Rings in each queue; -1 where the broker does not tell."""
    names = [*(lane.value for lane in Lane), DEAD_QUEUE]
    try:
        with app.connection_for_read(connect_timeout=1) as broker:
            client = broker.default_channel.client
            return {name: int(client.llen(name)) for name in names}
    except Exception:  # noqa: BLE001 - a gauge must not fail with the broker
        return dict.fromkeys(names, -1)


def eviction_policy(app: Celery) -> str:
    """What a Redis does when its memory is full; "" where it does not tell."""
    try:
        with app.connection_for_read(connect_timeout=1) as broker:
            client = broker.default_channel.client
            return str(client.config_get("maxmemory-policy").get("maxmemory-policy", ""))
    except Exception:  # noqa: BLE001 - managed servers forbid CONFIG
        return ""
