"""The status page's stream, over a real server and a real socket."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import Rosterd
from tests.preloaded import Popen
from worker.adapters.db.sweeping import SQLSweep


class Serving:
    """`rosterd web` as a process of its own, over the test's database."""

    def __init__(self, rosterd: Rosterd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        settings = rosterd.settings
        environment = {
            **os.environ,
            "ROSTERD_DATA_DIR": str(settings.data_dir),
            "ROSTERD_DATABASE_URL": settings.database,
            "ROSTERD_BROKER_URL": settings.broker,
        }
        command = [sys.executable, "-m", "worker", "web", "--port", str(self.port)]
        self.process = Popen(command, env=environment)
        assert until(self.is_up)

    def is_up(self) -> bool:
        try:
            return self.status("GET", "/livez") == 200
        except OSError:
            return False

    def sockets(self) -> int:
        """Connections that the server's processes hold open."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        mine = [line.split() for line in lines]
        established = "01"
        return sum(1 for f in mine if f[1].endswith(f":{self.port:04X}") and f[3] == established)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=60)

    @contextmanager
    def asked(self, method: str, path: str, cookie: str = "") -> Iterator[http.client.HTTPResponse]:
        """An answer that is still being read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={"Cookie": cookie} if cookie else {})
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def status(self, method: str, path: str, cookie: str = "") -> int:
        with self.asked(method, path, cookie) as answer:
            return answer.status


def until(what: Callable[[], object], seconds: float = 90) -> bool:
    """Whether it came true within the time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def served(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Rosterd, Serving]]:
    rosterd = Rosterd(database_url, tmp_path_factory.mktemp("data"))
    serving = Serving(rosterd)
    with rosterd.serving():
        yield rosterd, serving
    if serving.process.poll() is None:
        serving.stop()
    rosterd.close()


def signed_in(rosterd: Rosterd, serving: Serving) -> str:
    """The cookie that the one-time link gives."""
    token = rosterd.sign_in_link(rosterd.operator("eve@example.com"))
    with serving.asked("POST", f"/sign-in/{token}") as answer:
        assert answer.status == 303
        return str(answer.getheader("set-cookie")).partition(";")[0]


def event_of(answer: http.client.HTTPResponse) -> str:
    """The next event of the stream: lines up to an empty one."""
    lines: list[str] = []
    while line := answer.readline().decode().rstrip("\n"):
        lines.append(line)
    return "\n".join(lines)


def test_nobody_streams_without_a_session(served: tuple[Rosterd, Serving]) -> None:
    _, serving = served
    assert serving.status("GET", "/status/stream") == 401
    assert serving.status("GET", "/status/stream", "rosterd_session=guess") == 401


def test_the_stream_tells_what_came_and_ends_with_the_session(
    served: tuple[Rosterd, Serving],
) -> None:
    rosterd, serving = served
    feed = rosterd.account()
    cookie = signed_in(rosterd, serving)
    with serving.asked("GET", "/status/stream", cookie) as stream:
        assert stream.getheader("content-type", "").startswith("text/event-stream")
        first = event_of(stream)
        assert first.startswith("data: ")
        assert "domain_not_allowed" not in first
        rosterd.hire(feed, "u1", "u1@elsewhere.example")
        SQLSweep(rosterd.parts.database, rosterd.parts.worker_id, rosterd.parts.report).sweep()
        seen = ""
        while "domain_not_allowed" not in seen:
            seen = event_of(stream)
        assert rosterd.cli("operator", "sign-out", "eve@example.com").returncode == 0
        stream.read()  # to its end, which comes by itself


def test_c4_the_stream_tells_an_accounts_operator_of_nobody_else(
    served: tuple[Rosterd, Serving],
) -> None:
    rosterd, serving = served
    feed = rosterd.account()
    other = rosterd.account(name="other")
    with rosterd.setup() as use:
        acme = use.account("acme")["id"]
    everybody = signed_in(rosterd, serving)
    link = rosterd.sign_in_link(rosterd.operator("of@acme.example", account=acme))
    with serving.asked("POST", f"/sign-in/{link}") as answer:
        theirs = str(answer.getheader("set-cookie")).partition(";")[0]
    rosterd.hire(other, "o1", "o1@elsewhere.example")
    with serving.asked("GET", "/status/stream", everybody) as stream:
        seen = ""
        while "o1" not in seen:
            seen = event_of(stream)
    with serving.asked("GET", "/status/stream", theirs) as stream:
        first = event_of(stream)
        rosterd.hire(other, "o2", "o2@elsewhere.example")
        rosterd.hire(feed, "ours", "ours@elsewhere.example")
        seen = ""
        while "ours" not in seen:
            seen = event_of(stream)
    for hidden in ("o1", "o2", "other"):
        assert f">{hidden}<" not in first + seen


def test_a_reader_who_leaves_leaves_nothing_behind(served: tuple[Rosterd, Serving]) -> None:
    rosterd, serving = served
    cookie = signed_in(rosterd, serving)
    for _ in range(5):
        with serving.asked("GET", "/status/stream", cookie) as stream:
            event_of(stream)
    assert until(lambda: serving.sockets() == 0), "a stream outlived its reader"


def test_an_open_stream_does_not_keep_the_server_from_ending(
    served: tuple[Rosterd, Serving],
) -> None:
    rosterd, serving = served
    with serving.asked("GET", "/status/stream", signed_in(rosterd, serving)) as stream:
        event_of(stream)
        assert serving.stop() == 0
