"""Mails leave from threads of their own: a slow mail server holds up no event."""

from __future__ import annotations

import threading
import time

from domain.ports import InfrastructureError
from worker.bootstrap import Container

#: A mail in hand is finished within this; the others' leases run out, and they are sent then.
STOP_SECONDS = 15.0
#: Mails that one process has in hand at once: most of a mail is the server's answer.
AT_ONCE = 2


class Post:
    """One process's mails. It begins with the first ring, and ends with the process."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._stirred = [threading.Event() for _ in range(AT_ONCE)]
        self._threads = [
            threading.Thread(target=self._run, args=(stirred,), name="post", daemon=True)
            for stirred in self._stirred
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Send what is due; returns at once."""
        for stirred in self._stirred:
            stirred.set()

    def stop(self) -> None:
        """Finish the mails in hand."""
        self._stopping.set()
        self.wake()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _run(self, stirred: threading.Event) -> None:
        while stirred.wait() and not self._stopping.is_set():
            # Cleared before the look: what is rung now is looked for once more.
            stirred.clear()
            try:
                self._parts.notify.run(is_over=self._stopping.is_set)
            except InfrastructureError as error:
                # Leases run out and the sweep rings again (F23).
                self._parts.log.warning("post_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("post_failed")
