"""The baseline: bare Celery no-ops on the same broker, one process, as D7 sets it."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from pathlib import Path

from celery import Celery

from worker.adapters.broker.app import make_celery
from worker.adapters.broker.state import queue_length
from worker.cli.bench.scratch import scratch_broker
from worker.cli.processes import beside
from worker.cli.running import STDERR

NOOP = "bench.noop"


def noops(broker_url: str | None, folder: Path, count: int) -> float:
    """Tasks a second: concurrency 1, prefetch 1, late ack, no result."""
    with scratch_broker(broker_url, folder) as url:
        queue = f"bench-{secrets.token_hex(4)}"
        app = make_celery(url, sweep_seconds=5)
        app.conf.task_create_missing_queues = True
        time.sleep(0.5)
        _publish(app, queue, count)
        command = [
            *(beside("celery"), "--quiet", "-A", "worker.cli.bench.noop_app", "worker"),
            *("-c", "1", "-Q", queue, "--without-gossip", "--without-mingle"),
            *("--loglevel", "ERROR"),
        ]
        worker = subprocess.Popen(  # noqa: S603 - our own arguments
            command, env={**os.environ, "ROSTERD_BENCH_BROKER": url}, stdout=STDERR
        )
        try:
            return _consumed(app, queue)
        finally:
            worker.terminate()
            worker.wait()
            with app.connection_for_write() as connection:
                connection.default_channel.queue_delete(queue)


def _publish(app: Celery, queue: str, count: int) -> None:
    with app.amqp.producer_pool.acquire() as producer:
        for _ in range(count):
            app.send_task(NOOP, queue=queue, producer=producer)


def _consumed(app: Celery, queue: str) -> float:
    """Rate from the first consumed message on."""
    with app.connection_for_read() as connection:
        full = queue_length(app, connection, queue)
        while (first := queue_length(app, connection, queue)) >= full - 1:
            time.sleep(0.01)
        began = time.perf_counter()
        while queue_length(app, connection, queue) > 0:
            time.sleep(0.01)
        return float(first / (time.perf_counter() - began))
