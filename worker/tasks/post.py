"""Mails leave from a thread of their own: a slow mail server holds up no event."""

from __future__ import annotations

import threading

from domain.ports import InfrastructureError
from worker.bootstrap import Container

#: A mail in hand is finished within this; the others' leases run out, and they are sent then.
STOP_SECONDS = 15.0


class Post:
    """One process's mails. It begins with the first ring, and ends with the process."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._stirred = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="post", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Send what is due; returns at once."""
        self._stirred.set()

    def stop(self) -> None:
        """Finish the mail in hand."""
        self._stopping.set()
        self._stirred.set()
        self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while self._stirred.wait() and not self._stopping.is_set():
            # Cleared before the look: what is rung now is looked for once more.
            self._stirred.clear()
            try:
                self._parts.notify.run(is_over=self._stopping.is_set)
            except InfrastructureError as error:
                # Leases run out and the sweep rings again (F23).
                self._parts.log.warning("post_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("post_failed")
