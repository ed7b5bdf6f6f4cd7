"""Announcements leave from threads of their own: no endpoint delays events, mails or another.

Each endpoint has a few at most, one of them for those who lose access; one that fails has one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from domain.dispatches import Due
from domain.inbox import Lane
from domain.ports import InfrastructureError
from worker.bootstrap import Container
from worker.services.deliver import SHARE

#: Connections of a process to one endpoint: for the urgent, for all others, in all.
URGENT_CONNECTIONS, OTHER_CONNECTIONS = 2, 4
CONNECTIONS = 48
#: A request in hand is finished within this; another's lease runs out, and it is sent again then.
STOP_SECONDS = 12.0

#: A worker of other lanes leaves to one of the urgent lane what is urgent, for so long: its threads
#: have to wait for the turns that a drain beside them leaves of the interpreter.
LEFT_SECONDS = 0.5

#: An endpoint, and whether it is about its urgent announcements.
Line = tuple[str, bool]


class Courier:
    """One process's announcements. It begins with the first, and ends with the process."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._stirred = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: Counter[Line] = Counter()
        #: Lines for which there was more to do than threads: looked at when one is free.
        self._wanted: set[Line] = set()
        #: Endpoints with something urgent that is left to another process, since when.
        self._left: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="courier")
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Send what is due; returns at once."""
        self._stirred.set()

    def stop(self) -> None:
        """Finish the requests in hand."""
        self._stopping.set()
        self._stirred.set()
        self._thread.join(timeout=STOP_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while True:
            self._stirred.wait(LEFT_SECONDS if self._left else None)
            if self._stopping.is_set():
                return
            # Cleared before the look: what is rung now is looked for once more.
            self._stirred.clear()
            try:
                for due in self._mine(self._parts.deliver.dispatches.due()):
                    self._begin(due)
            except InfrastructureError as error:
                # Nothing is lost: the sweep rings again (F23).
                self._parts.log.warning("courier_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("courier_failed")

    def _mine(self, found: Sequence[Due]) -> list[Due]:
        """What this process sends now; what it leaves to another, it looks at again."""
        now = time.monotonic()
        before, self._left = self._left, {}
        if not self._parts.leaves_urgent:
            return list(found)
        urgent = [due for due in found if due.lane is Lane.URGENT]
        since = {due.endpoint: before.get(due.endpoint, now) for due in urgent}
        self._left = {one: at for one, at in since.items() if now - at < LEFT_SECONDS}
        return [d for d in found if d.lane is not Lane.URGENT or d.endpoint not in self._left]

    def _begin(self, due: Due) -> None:
        """One thread more for an endpoint, unless it has as many as it may."""
        line = (due.endpoint, due.lane is Lane.URGENT)
        most = URGENT_CONNECTIONS if line[1] else OTHER_CONNECTIONS
        with self._lock:
            if self._running[line] >= (1 if due.is_failing else most):
                self._wanted.add(line)
                return
            self._running[line] += 1
        self._pool.submit(self._send, due, line)

    def _send(self, due: Due, line: Line) -> None:
        """Share after share, until nothing is left; a full one asks for a companion."""
        try:
            while not self._stopping.is_set():
                results = self._parts.deliver.share(due)
                if not results:
                    break
                if results == ["delivered"] * SHARE and not self._stopping.is_set():
                    self._begin(due)
        except InfrastructureError as error:
            self._parts.log.warning("courier_postponed", why=str(error))
        except Exception:
            self._parts.log.exception("courier_failed")
        finally:
            self._end(line)

    def _end(self, line: Line) -> None:
        with self._lock:
            self._running[line] -= 1
            if not self._running[line]:
                del self._running[line]
            is_wanted = line in self._wanted
            self._wanted.discard(line)
        if is_wanted:
            # What came after the last look and before the end.
            self.wake()
