"""/metrics: open to this machine, shut to whom a proxy speaks for, the same from each process."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.harness import Rosterd
from tests.preloaded import Popen
from tests.servers import await_true, free_port
from worker.web.app import build_web

REQUESTS = 30


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Rosterd:
    return Rosterd(sqlite_url, tmp_path)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_proxy_on_this_machine_opens_the_counters_to_nobody(
    embedded: Rosterd, address: str
) -> None:
    http = TestClient(build_web(embedded.parts), client=(address, 50_000))
    assert http.get("/metrics").status_code == 200
    for header in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"):
        assert http.get("/metrics", headers={header: "192.0.2.7"}).status_code == 401, header
    with embedded.setup() as use:
        token = use.add_token(None, name="prometheus", scopes=["metrics"])
    asked = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "192.0.2.7"}
    assert http.get("/metrics", headers=asked).status_code == 200
    embedded.close()


@pytest.mark.timeout(120)
def test_every_scrape_of_several_web_processes_tells_what_all_of_them_counted(
    embedded: Rosterd, tmp_path: Path
) -> None:
    feed = embedded.account()
    embedded.close()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "worker", "web", "--workers", "2", "--port", str(port)]
    environment = {**os.environ, "ROSTERD_DATA_DIR": str(tmp_path), "ROSTERD_LOG_LEVEL": "error"}
    web = Popen(command, env=environment, cwd=tmp_path)
    try:
        await_true(lambda: httpx2.get(f"{url}/livez").status_code == 200, name="web")
        for _ in range(REQUESTS):
            # A connection of its own each: the kernel gives it to either process.
            assert httpx2.post(f"{url}{feed.path}", content=b"{}").status_code == 401
        told = [counted(httpx2.get(f"{url}/metrics").text) for _ in range(10)]
    finally:
        web.terminate()
        assert web.wait(timeout=40) == 0
    assert told == [REQUESTS] * 10


def counted(text: str) -> float:
    """Events and refused requests in a scrape."""
    found = re.findall(r"^rosterd_events_received_total\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(float(number) for number in found)
