"""The reader: in every pool child of the bulk lane, reads identity providers' directories and logs.

Each connection is read by one process at a time, under a lease; a step waits for its IdP in a
thread of its own, so that one that hangs keeps no other from being read, and no event at all.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from domain.errors import RefusedError
from domain.ports import InfrastructureError
from worker.bootstrap import Container
from worker.bootstrap_reading import Job

#: Between two looks for what is to be read, in seconds.
LOOK_SECONDS = 1.0
#: So many IdPs are waited for at once by one process.
AT_ONCE = 4


class Reader:
    """A thread that looks, and a few that read, until the process ends."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="read")
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End with the process; what is in hand is gone on with by whoever gets the lease."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter
            try:
                self._look()
            except InfrastructureError as error:
                self._parts.log.warning("reader_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("reader_failed")

    def _look(self) -> None:
        for job in self._parts.reading.jobs():
            with self._lock:
                if self._stop.is_set() or job.name in self._running or self._is_full():
                    continue
                self._running.add(job.name)
            self._pool.submit(self._read, job)

    def _is_full(self) -> bool:
        """What finds no thread now is left to another process."""
        return len(self._running) >= AT_ONCE

    def _read(self, job: Job) -> None:
        try:
            job.work()
        except (InfrastructureError, RefusedError) as error:
            self._parts.log.warning("reading_postponed", job=job.name, why=str(error))
        except Exception:
            self._parts.log.exception("reading_failed", job=job.name)
        finally:
            with self._lock:
                self._running.discard(job.name)
