"""Now: whether somebody may still be inside who should be out, what failed, how fast it goes."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from starlette.routing import Route

from domain.errors import UsageError
from worker.adapters.db import rows
from worker.adapters.db.gauges import WORKER_SILENCE
from worker.adapters.db.minutes import noted_minutes
from worker.adapters.db.narrowing import state_for
from worker.adapters.db.uow import database_now
from worker.bootstrap import Container
from worker.web.console.call import Call
from worker.web.console.charts import STRETCHES, charts, table
from worker.web.console.figures import figures
from worker.web.console.frame import Frame, Live

#: The broker is asked this often at most, beside the pages: one that hangs delays nobody.
BROKER_SECONDS = 5.0
#: What is shown of lanes that have nothing to tell.
MOST_LANES = 200


def routes(frame: Frame) -> list[Route]:
    """The page and its stream."""
    broker = _Broker(frame.parts)

    def fields(call: Call) -> dict[str, Any]:
        return _fields(call, broker)

    return frame.live(Live("/", "/status/stream", "now.html", "now_part.html", fields))


def _fields(call: Call, broker: _Broker) -> dict[str, Any]:
    name = call.text("span") or "hour"
    if name not in STRETCHES:
        raise UsageError(f"span is {' or '.join(STRETCHES)}, not {name!r}")
    stretch = STRETCHES[name]
    shown = figures(state_for(call.parts.database, call.parts.gauges, call.asker))
    with call.reading() as connection:
        now = database_now(connection)
        since = now - stretch.length - 2 * stretch.step
        noted = noted_minutes(connection, call.asker.accounts, since=since)
        workers = _workers(connection, now) if call.asker.accounts is None else []
    minute = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    return {
        "shown": shown,
        "now": now,
        "lanes": shown.lanes[:MOST_LANES],
        "more_lanes": max(len(shown.lanes) - MOST_LANES, 0),
        "stretch": stretch,
        "stretches": list(STRETCHES.values()),
        "charts": charts(noted, stretch, now),
        "table": table(noted, stretch, now),
        "minute": noted.get(minute),
        "workers": workers,
        "broker": broker.told(),
    }


def _workers(connection: Any, now: Any) -> list[dict[str, Any]]:
    table = rows.workers
    alive = select(table).where(table.c.seen_at > now - WORKER_SILENCE)
    found = connection.execute(alive.order_by(table.c.host, table.c.pid)).mappings()
    return [dict(row) for row in found]


class _Broker:
    """What the broker says, as of a moment ago: it is asked by a thread of its own."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._asked_at = -BROKER_SECONDS
        self._told: dict[str, int] | None = None
        self._first = threading.Event()

    def told(self) -> dict[str, int] | None:
        """Rings in each queue, -1 where it cannot be told; None before it was ever asked."""
        with self._lock:
            is_due = time.monotonic() - self._asked_at >= BROKER_SECONDS
            if is_due:
                self._asked_at = time.monotonic()
        if is_due:
            threading.Thread(target=self._ask, name="broker-asked", daemon=True).start()
            self._first.wait(0.2)
        return self._told

    def _ask(self) -> None:
        try:
            self._told = self._parts.queue_lengths()
        except Exception as error:  # noqa: BLE001 - whatever it is, the broker did not tell
            self._parts.log.warning("broker_untold", why=str(error))
            self._told = {}
        self._first.set()
