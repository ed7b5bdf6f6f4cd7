"""The Celery app of the baseline: one task that does nothing, with rosterd's own settings."""

from __future__ import annotations

import os

from worker.adapters.broker.app import make_celery

app = make_celery(os.environ.get("ROSTERD_BENCH_BROKER", "memory://"), sweep_seconds=5)
app.conf.task_create_missing_queues = True
app.conf.worker_consumer = "celery.worker.consumer:Consumer"


@app.task(name="bench.noop", ignore_result=True, acks_late=True)  # type: ignore[untyped-decorator]
def noop() -> None:
    """Nothing."""
