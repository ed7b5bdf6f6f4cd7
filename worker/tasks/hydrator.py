"""IdPs are asked from threads of their own: one that hangs delays no event and no other IdP."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from domain.ports import InfrastructureError
from domain.questions import Later
from worker.bootstrap import Container

#: Threads of a process for one connection, and in all: an IdP that hangs holds a few of them.
OF_ONE, IN_ALL = 2, 16
#: A pace that is used up is waited for; for longer than this the sweep comes back.
LONGEST_WAIT = 2.0
STOP_SECONDS = 12.0


class Hydrator:
    """One process's questions. It begins with the first ring, and ends with the process."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._stirred = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(IN_ALL, thread_name_prefix="hydrator")
        self._thread = threading.Thread(target=self._run, name="hydrator", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ask what is due; returns at once."""
        self._stirred.set()

    def stop(self) -> None:
        """Finish the requests in hand; another's lease runs out, and it is asked again then."""
        self._stopping.set()
        self._stirred.set()
        self._thread.join(timeout=STOP_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while self._stirred.wait() and not self._stopping.is_set():
            # Cleared before the look: what is rung now is looked for once more.
            self._stirred.clear()
            try:
                for connection in self._parts.directories.hydrate.questions.due():
                    self._begin(connection)
            except InfrastructureError as error:
                # Nothing is lost: the sweep rings again (F23).
                self._parts.log.warning("hydrator_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("hydrator_failed")

    def _begin(self, connection: str) -> None:
        with self._lock:
            if self._running[connection] >= OF_ONE:
                return
            self._running[connection] += 1
        self._pool.submit(self._ask, connection)

    def _ask(self, connection: str) -> None:
        """Question after question, at the pace that is kept, until none may be asked."""
        try:
            while not self._stopping.is_set():
                result = self._parts.directories.hydrate.one(connection)
                if result is None:
                    break
                if isinstance(result, Later):
                    self._stopping.wait(min(result.wait.total_seconds(), LONGEST_WAIT))
                else:
                    self._begin(connection)
        except InfrastructureError as error:
            self._parts.log.warning("hydrator_postponed", why=str(error))
        except Exception:
            self._parts.log.exception("hydrator_failed")
        finally:
            with self._lock:
                self._running[connection] -= 1
                if not self._running[connection]:
                    del self._running[connection]
