"""rosterd's real processes as the Procfile starts them; a supervisor restarts who dies."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.preloaded import Started, of_this_process
from tests.servers import await_true, free_port
from worker.adapters.db.migrate import migrate
from worker.bootstrap import Container
from worker.cli import supervisor
from worker.cli.addresses import is_ready
from worker.cli.processes import beat_command, web_command, worker_command
from worker.cli.supervisor import Child, Supervisor
from worker.settings import LANES_VARIABLE, load_settings

POINTS = Path(__file__).with_name("points")
#: Longer than the silence after which a worker counts as gone, and than the database's time-outs.
FREEZE_SECONDS = 25.0


class Fleet:
    """web (two processes), worker, urgent, beat."""

    def __init__(
        self, folder: Path, *, database_url: str, broker_url: str, **environment: str
    ) -> None:
        self.folder = folder
        self.points = folder / "points"
        self.points.mkdir()
        self.log = folder / "fleet.log"
        self._thaws: list[threading.Timer] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.parts = Container(
            load_settings(data_dir=folder, database_url=database_url, broker_url=broker_url)
        )
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(POINTS), str(POINTS.parents[2])]),
            "ROSTERD_CHAOS_POINTS": str(self.points),
            "ROSTERD_DATA_DIR": str(folder),
            "ROSTERD_DATABASE_URL": database_url,
            "ROSTERD_BROKER_URL": broker_url,
            "ROSTERD_PUBLIC_URL": self.url,
            "ROSTERD_SWEEP_SECONDS": "1",
            "ROSTERD_LOG_LEVEL": "warning",
            **environment,
        }
        commands = {
            "web": web_command("127.0.0.1", self.port, 2),
            "worker": worker_command(["standard"], 2),
            "bulk": worker_command(["bulk"], 1),
            "urgent": worker_command(["urgent"], 1),
            "beat": beat_command(),
        }
        lanes = {"worker": "standard", "bulk": "bulk", "urgent": "urgent"}
        self.supervisor = Supervisor(
            [Child(name, self._starter(c, lanes.get(name, ""))) for name, c in commands.items()],
            told=lambda text: None,
        )

    def _starter(self, command: list[str], lanes: str) -> Callable[[], Started]:
        # What is to be restarted a hundred times starts from loaded libraries.
        words = command[command.index("worker") + 1 :]
        whole = {**self._environment, LANES_VARIABLE: lanes}
        return partial(of_this_process().start, *words, log=self.log, environment=whole)

    def start(self) -> None:
        # What supervises processes in production waits a second or less.
        supervisor.LONGEST_RESTART_SECONDS = 0.5
        migrate(self.parts.database)
        self.parts.vault  # noqa: B018 - makes the key before two processes could
        self.supervisor.start()
        self._thread = threading.Thread(target=self.supervisor.watch, daemon=True)
        self._thread.start()
        await_true(lambda: is_ready(self.url), seconds=60, name="web")

    def stop(self) -> None:
        self.supervisor.is_stopping = True
        self._thread.join()
        self.supervisor.stop()
        self.parts.close()

    # -- injuries ----------------------------------------------------------------------

    def kill(self, dice: random.Random) -> str | None:
        """SIGKILL one process of the fleet; what it was."""
        name = dice.choice(["web", "web", "worker", "worker", "bulk", "urgent", "urgent", "beat"])
        parent = self._parent(name)
        children = _children(parent) if parent else []
        pool = dice.random() < 0.6 and bool(children)
        victim = dice.choice(children) if pool else parent
        if victim is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            return f"{name} {'child' if pool else 'parent'}"
        return None

    def kill_at(self, point: str, *, seconds: float = 12.0) -> str | None:
        """SIGKILL whoever passes a point next; None if nobody came."""
        armed, fired = self.points / point, self.points / f"{point}.fired"
        armed.touch()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if fired.exists():
                fired.unlink()
                return point
            time.sleep(0.02)
        armed.unlink(missing_ok=True)
        return point if fired.exists() else None

    def freeze(self, dice: random.Random) -> None:
        """SIGSTOP a pool child; it goes on after longer than any lease, injuries meanwhile."""

        def stopped() -> int:
            found: int = dice.choice(_children(self._parent(dice.choice(["worker", "urgent"]))))
            os.kill(found, signal.SIGSTOP)
            return found

        thaw = threading.Timer(FREEZE_SECONDS, _go_on, [await_true(stopped, name="a pool child")])
        thaw.start()
        self._thaws.append(thaw)

    def await_thawed(self) -> None:
        """Until everybody who was frozen goes on."""
        for thaw in self._thaws:
            thaw.join()

    def roll(self) -> None:
        """SIGTERM to one after the other, as a deployment does."""
        for name in ("urgent", "worker", "bulk", "beat", "web"):
            parent = self._parent(name)
            if parent is not None:
                with suppress(ProcessLookupError):
                    os.kill(parent, signal.SIGTERM)
                time.sleep(1.0)

    def pool(self) -> list[int]:
        """All pool children."""
        return [
            pid for name in ("worker", "bulk", "urgent") for pid in _children(self._parent(name))
        ]

    def _parent(self, name: str) -> int | None:
        child = next(c for c in self.supervisor.children if c.name == name)
        if child.process is None or child.process.poll() is not None:
            return None
        return child.process.pid


def _go_on(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _children(parent: int | None) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
            if int(after_name[1]) == parent and b"resource_tracker" not in command:
                found.append(int(entry.name))
    return found
