"""One Celery app with measured settings, for either broker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from domain.inbox import Lane
from worker.adapters.broker.topology import is_rabbitmq, lane_queues

REDIS_OPTIONS: dict[str, Any] = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "global_keyprefix": "rosterd:",
    # How `CLIENT LIST` tells our connections from those of others.
    "client_name": "rosterd",
    # kombu tries a publisher's connection again for 4 s: a ring is not worth that, the sweep
    # rings again, and a consumer waits by settings of its own.
    "max_retries": 0,
}

#: A publish counts once the broker has it on disk (F10).
RABBITMQ_OPTIONS: dict[str, Any] = {"confirm_publish": True}

#: A child is 120 to 140 MiB (`bench memory`). One that was more than twice that
#: at its largest, after a batch of the largest bodies or by a leak, is replaced when its task is
#: done: two of them and their parent stay within the 768 MiB of the chart.
CHILD_KIB = 300 * 1024
#: Against slow leaks only. A ring may take milliseconds, so 2,000 of them are seconds under load.
CHILD_TASKS = 20_000


def make_celery(broker_url: str, *, sweep_seconds: float) -> Celery:
    """The app that publishes and consumes; tasks are registered by `worker.tasks`."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = "worker.adapters.broker.redis_transport:Transport"
    rabbit = is_rabbitmq(broker_url)
    app = Celery("rosterd", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=lane_queues(broker_url),
        task_default_queue=Lane.STANDARD.value,
        task_default_exchange="rosterd",
        task_default_exchange_type="topic" if rabbit else "direct",
        task_default_routing_key=Lane.STANDARD.value,
        task_create_missing_queues=False,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        # What failed is told by the rows; a message that comes again would tell nothing more.
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_time_limit=50,
        task_soft_time_limit=40,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=CHILD_TASKS,
        worker_max_memory_per_child=CHILD_KIB,
        # SIGQUIT and a second Ctrl-C: what runs may end. A worker that does nothing goes at once,
        # for the rings in its hands are rung again by the next sweep.
        worker_soft_shutdown_timeout=20.0,
        worker_enable_soft_shutdown_on_idle=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        worker_consumer="worker.tasks.consumer:Consumer",
        broker_connection_retry_on_startup=True,
        broker_channel_error_retry=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=4,
        broker_heartbeat=30 if rabbit else None,
        broker_transport_options=_transport_options(broker_url),
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


def _transport_options(broker_url: str) -> dict[str, Any]:
    if is_rabbitmq(broker_url):
        return RABBITMQ_OPTIONS
    return REDIS_OPTIONS if broker_url.startswith("redis") else {}
