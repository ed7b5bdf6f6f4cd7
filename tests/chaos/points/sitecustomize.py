"""Named fault points inside rosterd's processes, put there from outside: no line of rosterd knows.

A process that passes a point for which the folder ROSTERD_CHAOS_POINTS holds a file takes the
file and kills itself with SIGKILL, as a machine would that loses power right there; with "stop" in
the file it stops itself with SIGSTOP.

An event that names `poison-child` takes down the process that parses it, `poison-group` the worker
with all its children, each time; one that names `slow` takes five seconds. `seen` has a line for
each parsed event that does any of it, and for each drain.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

#: module -> (class, method, "start" or "end", point)
POINTS = {
    "worker.adapters.db.ingest": [
        ("_Storing", "run", "start", "web.before_insert"),
        ("_Storing", "run", "end", "web.after_insert"),
        ("GroupCommitter", "_store", "end", "web.after_commit"),
    ],
    "worker.adapters.broker.ringer": [
        ("CeleryRinger", "ring", "start", "any.before_ring"),
        ("CeleryRinger", "_publish", "end", "any.after_ring"),
    ],
    "worker.adapters.db.uow": [
        ("SQLWork", "claim", "end", "worker.after_claim"),
        ("SQLWork", "save", "start", "worker.before_writes"),
        ("SQLWork", "commit", "start", "worker.before_commit"),
        ("SQLWork", "commit", "end", "worker.between_commit_and_ack"),
    ],
    "kombu.transport.redis": [("QoS", "append", "start", "redis.popped_not_noted")],
    "worker.adapters.sources.standard": [("StandardSource", "parse", "parsed", "")],
    "worker.services.drain": [("Drain", "run", "drained", "")],
    "worker.adapters.broker.app": [],
}
#: Seconds after which Redis hands out a message again, if a test wants it otherwise.
VISIBILITY = os.environ.get("ROSTERD_CHAOS_VISIBILITY", "")
FOLDER = os.environ.get("ROSTERD_CHAOS_POINTS", "")


def _pass(point: str) -> None:
    armed = Path(FOLDER) / point
    if armed.exists():
        try:
            # Read first: once it is seen to have fired, its file goes.
            is_stop = armed.read_text() == "stop"
            armed.rename(armed.with_name(f"{point}.fired"))
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGSTOP if is_stop else signal.SIGKILL)


def _parse(document: object) -> None:
    said = repr(document)
    word = next((w for w in ("poison-child", "poison-group", "slow") if f"'{w}'" in said), None)
    if word is None:
        return
    _note(word)
    if word == "poison-child":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "poison-group":
        os.killpg(os.getpgrp(), signal.SIGKILL)
    time.sleep(5)


def _note(*words: object) -> None:
    with (Path(FOLDER) / "seen").open("a", encoding="utf-8") as seen:
        seen.write(" ".join(map(str, (*words, os.getpid(), time.monotonic()))) + "\n")


def _wrapped(method: Callable[..., Any], where: str, point: str) -> Callable[..., Any]:
    def at_point(*args: Any, **kwargs: Any) -> Any:
        if where == "start":
            _pass(point)
        if where == "parsed":
            _parse(args[1])
        if where == "drained":
            _note("drain", kwargs.get("lane"), kwargs.get("kind"))
        found = method(*args, **kwargs)
        if where == "end":
            _pass(point)
        return found

    return at_point


class _Loader(importlib.abc.Loader):
    def __init__(self, real: importlib.abc.Loader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        for class_, method, where, point in POINTS[module.__name__]:
            owner = getattr(module, class_)
            setattr(owner, method, _wrapped(getattr(owner, method), where, point))
        if VISIBILITY and module.__name__ == "worker.adapters.broker.app":
            module.REDIS_OPTIONS["visibility_timeout"] = int(VISIBILITY)
            module.REDIS_OPTIONS["unacked_restore_interval"] = 1


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in POINTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


if FOLDER:
    sys.meta_path.insert(0, _Finder())
