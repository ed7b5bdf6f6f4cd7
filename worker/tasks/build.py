"""The Celery app with its tasks, its logging and the keeper in every pool child."""

from __future__ import annotations

import warnings
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown, worker_ready

from worker.bootstrap import build
from worker.tasks import events, groups, maintenance, notices, users
from worker.tasks.keeper import Keeper
from worker.tasks.process import container

_KEEPERS: list[Keeper] = []


def build_app() -> Celery:
    """Settings from the environment, tasks registered, signals connected."""
    # Containers run as root inside; the warning is about pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = build().celery
    for module in (users, groups, events, notices, maintenance):
        module.register_all(app)
    setup_logging.connect(_keep_logging, weak=False)
    worker_process_init.connect(_start_keeper, weak=False)
    worker_process_shutdown.connect(_stop_keeper, weak=False)
    worker_ready.connect(_start_in_solo, weak=False)
    return app


def _keep_logging(**_: Any) -> None:
    """Ours is configured already; Celery must not replace it."""


def _start_keeper(**_: Any) -> None:
    keeper = Keeper(container())
    _KEEPERS.append(keeper)
    keeper.start()


def _start_in_solo(sender: Any, **_: Any) -> None:
    """A solo or thread pool has no children, so its own process keeps house."""
    if "prefork" not in type(sender.pool).__module__:
        _start_keeper()


def _stop_keeper(**_: Any) -> None:
    for keeper in _KEEPERS:
        keeper.stop()
    _KEEPERS.clear()
