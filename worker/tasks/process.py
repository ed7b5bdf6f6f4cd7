"""The parts of the process that a task runs in: built once per pool child, after the fork."""

from __future__ import annotations

import os

from worker.bootstrap import Container, build

_BUILT: dict[int, Container] = {}


def container() -> Container:
    """This process's container; a forked child never sees its parent's."""
    pid = os.getpid()
    if pid not in _BUILT:
        _BUILT.clear()
        _BUILT[pid] = build()
    return _BUILT[pid]
