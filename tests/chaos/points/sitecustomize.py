"""Named fault points inside rosterd's processes, put there from outside: no line of rosterd knows.

A process that passes a point for which the folder ROSTERD_CHAOS_POINTS holds a file takes the
file and kills itself with SIGKILL, as a machine would that loses power right there; with "stop" in
the file it stops itself with SIGSTOP.

An event that names `poison-child` takes down the process that parses it, `poison-group` the worker
with all its children, each time; one that names `slow` takes five seconds. `seen` has a line for
each parsed event that does any of it, and for each drain.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
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


def _put() -> None:
    """Before anything of rosterd runs: what it has loaded keeps its place."""
    for name, points in POINTS.items():
        module = import_module(name)
        for class_, method, where, point in points:
            owner = getattr(module, class_)
            setattr(owner, method, _wrapped(getattr(owner, method), where, point))
    if VISIBILITY:
        options = import_module("worker.adapters.broker.app").REDIS_OPTIONS
        options["visibility_timeout"] = int(VISIBILITY)
        options["unacked_restore_interval"] = 1


if FOLDER:
    _put()
