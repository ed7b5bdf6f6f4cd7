"""What a quiet connection notices of others: receipt to commit, alone and beside a nuisance."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from domain.errors import RefusedError
from worker.adapters.db.scratch import scratch_database
from worker.bootstrap import Container
from worker.cli.bench.committed import latencies, watch
from worker.cli.bench.scratch import (
    CREATED,
    connect,
    rosterd_on,
    scratch_broker,
    signed,
    store,
    submissions,
)
from worker.cli.running import bring_up
from worker.cli.sender import Hook, Sent, send
from worker.settings import load_settings

#: Between two events of the quiet connection: they must find the workers at work, not each other.
PAUSE_SECONDS = 0.1
NUISANCES = ("noisy connection", "poisoned subject", "mute mail server", "nothing")
#: Of so many events of the loud connection one breaks its batch; all of them are one subject's.
ONE_POISONED_IN = 100
_POISON = Path(__file__).with_name("poison")


def quiet_latencies(
    server: str | None,
    broker_url: str | None,
    folder: Path,
    *,
    nuisance: str,
    size: int,
    count: int,
) -> list[float]:
    """Milliseconds, one for each of `count` people told over HTTP to `rosterd up`.

    nuisance: one of NUISANCES; size: of its backlog, in events.
    """
    with ExitStack() as stack:
        url = stack.enter_context(scratch_database(server, folder))
        broker = stack.enter_context(scratch_broker(broker_url, folder))
        parts = stack.enter_context(rosterd_on(url, folder, broker))
        quiet, noisy = connect(parts, "quiet"), connect(parts, "noisy")
        watch(parts.database, (quiet, CREATED))
        if nuisance == "mute mail server":
            stack.enter_context(_mute_server())
        elif nuisance == "poisoned subject":
            stack.enter_context(_set("PYTHONPATH", str(_POISON)))
            poisoned = submissions(parts, noisy, range(size // ONE_POISONED_IN), "user.exploded")
            store(parts, poisoned)
        elif nuisance == "noisy connection":
            store(parts, submissions(parts, noisy, range(size)))
        settings = load_settings(data_dir=folder, database_url=url, broker_url=broker)
        running = bring_up(settings)
        stack.callback(running.stop)
        return _measured(parts, running.url, quiet, count)


@contextmanager
def _mute_server() -> Iterator[None]:
    """It takes connections and says nothing; processes that start meanwhile mail through it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
        with _set("ROSTERD_SMTP_URL", url):
            yield


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    """For the processes that start meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _measured(parts: Container, url: str, hook: Hook, count: int) -> list[float]:
    began = datetime.now(UTC)
    for number in range(count):
        request = signed(hook, number)
        headers = {"content-type": "application/json", **request.headers}
        if send(Sent(f"{url}/hooks/{hook.url}", headers, request.body)) != 200:  # noqa: PLR2004
            raise RefusedError("an event was not taken")
        time.sleep(PAUSE_SECONDS)
    return latencies(parts.database, hook, CREATED, began, count)
