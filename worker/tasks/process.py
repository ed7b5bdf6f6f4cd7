"""The parts of the process that a task runs in: built once per pool child, after the fork."""

from __future__ import annotations

import os
from dataclasses import replace

from domain.inbox import Lane
from worker.bootstrap import Container, build
from worker.settings import LANES_VARIABLE
from worker.tasks.courier import Courier
from worker.tasks.hydrator import Hydrator
from worker.tasks.post import Post

_BUILT: dict[int, Container] = {}
_POSTS: dict[int, Post] = {}
_COURIERS: dict[int, Courier] = {}
_HYDRATORS: dict[int, Hydrator] = {}


def lanes() -> list[str]:
    """The lanes whose rings this worker takes."""
    return os.environ.get(LANES_VARIABLE, "urgent,standard,bulk").split(",")


def container() -> Container:
    """This process's container; a forked child never sees its parent's."""
    pid = os.getpid()
    if pid not in _BUILT:
        _BUILT.clear()
        _BUILT[pid] = replace(build(), leaves_urgent=Lane.URGENT.value not in lanes())
        # Nobody is as near to what this process commits as its own senders.
        _BUILT[pid].couriers.append(lambda: courier().wake())
    return _BUILT[pid]


def post() -> Post:
    """This process's way to send mails; made at the first mail."""
    pid = os.getpid()
    if pid not in _POSTS:
        _POSTS.clear()
        _POSTS[pid] = Post(container())
    return _POSTS[pid]


def courier() -> Courier:
    """This process's way to send announcements; made at the first of them."""
    pid = os.getpid()
    if pid not in _COURIERS:
        _COURIERS.clear()
        _COURIERS[pid] = Courier(container())
    return _COURIERS[pid]


def hydrator() -> Hydrator:
    """This process's way to ask identity providers; made at the first question."""
    pid = os.getpid()
    if pid not in _HYDRATORS:
        _HYDRATORS.clear()
        _HYDRATORS[pid] = Hydrator(container())
    return _HYDRATORS[pid]


def stop_post() -> None:
    """Finish what is in hand of mails, announcements and questions, if this process has any."""
    if os.getpid() in _HYDRATORS:
        _HYDRATORS.pop(os.getpid()).stop()
    if os.getpid() in _COURIERS:
        _COURIERS.pop(os.getpid()).stop()
    if os.getpid() in _POSTS:
        _POSTS.pop(os.getpid()).stop()
