"""The Celery app with its tasks, its logging and the keeper in every pool child."""

from __future__ import annotations

import os
import warnings
from typing import Any
from wsgiref.simple_server import WSGIServer

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import (
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)
from prometheus_client import start_http_server

from domain.inbox import Lane
from worker.adapters.allocator import use_one_arena
from worker.adapters.collector import collect_rarely
from worker.adapters.state_file import StateFile
from worker.bootstrap import build
from worker.settings import METRICS_PORT_VARIABLE
from worker.shared_counters import shared_folder
from worker.tasks import events, groups, maintenance, notices, scim, users
from worker.tasks.conductor import Conductor
from worker.tasks.keeper import Keeper
from worker.tasks.process import container, lanes, stop_post
from worker.tasks.reader import Reader
from worker.tasks.teller import Teller
from worker.telemetry import shared_registry

_KEEPERS: list[Keeper | Conductor | Reader | Teller] = []
#: The process that takes rings, as its children know it.
_CONSUMER: list[int] = []
_SERVERS: list[WSGIServer] = []


def build_app() -> Celery:
    """Settings from the environment, tasks registered, signals connected."""
    # Containers run as root inside; the warning is about pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = build().celery
    for module in (users, groups, events, notices, scim, maintenance):
        module.register_all(app)
    setup_logging.connect(_keep_logging, weak=False)
    worker_process_init.connect(_start_keeper, weak=False)
    worker_process_shutdown.connect(_stop_keeper, weak=False)
    worker_ready.connect(_start_in_solo, weak=False)
    worker_ready.connect(_warn_of_broker, weak=False)
    worker_init.connect(_note_consumer, weak=False)
    worker_init.connect(_serve_metrics, weak=False)
    return app


def _keep_logging(**_: Any) -> None:
    """Ours is configured already; Celery must not replace it."""


def _start_keeper(**_: Any) -> None:
    for server in _SERVERS:
        # A child that outlives a killed parent must not keep its port.
        server.socket.close()
    _SERVERS.clear()
    # Not who its parent is now: that may have been killed as it forked.
    _keep_house(consumer=_CONSUMER[0])


def _note_consumer(**_: Any) -> None:
    """In the process that takes rings, before it has children."""
    _CONSUMER[:] = [os.getpid()]


def _keep_house(*, consumer: int) -> None:
    use_one_arena()
    collect_rarely()
    _KEEPERS.append(Keeper(container(), consumer=consumer))
    if Lane.BULK.value in lanes():
        _KEEPERS.append(Conductor(container()))
        _KEEPERS.append(Reader(container()))
    folder = shared_folder()
    if folder is not None and METRICS_PORT_VARIABLE in os.environ:
        _KEEPERS.append(Teller(container(), StateFile(folder)))
    for keeper in _KEEPERS:
        keeper.start()


def _start_in_solo(sender: Any, **_: Any) -> None:
    """A solo or thread pool has no children, so its own process keeps house."""
    if "prefork" not in type(sender.pool).__module__:
        _keep_house(consumer=os.getpid())


def _warn_of_broker(**_: Any) -> None:
    container().warn_of_broker()


def _serve_metrics(**_: Any) -> None:
    """What the pool's children count and see, from their parent, whether or not there is a broker.

    The parent itself opens no database connection: nothing may cross a fork.
    """
    port, folder = os.environ.get(METRICS_PORT_VARIABLE), shared_folder()
    if port is None or folder is None:
        return
    registry = shared_registry()
    registry.register(StateFile(folder))
    _SERVERS.append(start_http_server(int(port), registry=registry)[0])


def _stop_keeper(**_: Any) -> None:
    for keeper in _KEEPERS:
        keeper.stop()
    _KEEPERS.clear()
    stop_post()
    traces = container().traces
    if traces is not None:
        traces.close()
