"""Processes that go on with what this one has loaded: loading it took a second, once."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from worker.adapters.embedded import end_with_parent

#: Elsewhere than on Linux, system libraries do not bear a fork without an exec.
_CONTEXT = (
    multiprocessing.get_context("fork")
    if sys.platform == "linux"
    else multiprocessing.get_context("spawn")
)
_PR_SET_NAME = 15


class Forked:
    """A child of this process, with the part of `Popen` that a supervisor needs.

    name: what `ps` and `top` call it; at most 15 characters are kept. run: imported by name, for
    it may have to be found again. Neither threads nor open connections may be around: the child
    would have halves of them.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        # The collector of a child would write to every page that it shares with the others.
        gc.freeze()
        self._process = _CONTEXT.Process(target=_begin, args=(name, run))
        self._process.start()

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, as Popen tells it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended; raises TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, sig: int) -> None:
        """Unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, sig)


def _begin(name: str, run: Callable[[], None]) -> None:
    """In the child: a group of its own, so that Ctrl-C reaches the supervisor alone."""
    os.setsid()
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())
    run()
