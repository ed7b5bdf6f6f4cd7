"""SCIM over HTTP: a provider's day beside another service, large groups, lookups among many."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from domain.errors import RefusedError
from domain.policy import Scope
from worker.adapters.db.scim_filling import fill_scim
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import setting_up
from worker.bootstrap import Container
from worker.cli.addresses import free_port
from worker.cli.bench.ingest import serving
from worker.cli.bench.report import percentile
from worker.cli.bench.scim_client import GROUP, Line, Service, Times, mix, patch
from worker.cli.bench.scratch import rosterd_on

LOOKUPS = 500
#: Of one person, into a group and out of it.
TURNS = 40


@contextmanager
def scim_service(server: str | None, folder: Path) -> Iterator[tuple[Service, Container, int]]:
    """A web process of rosterd's with one SCIM connection; its process id."""
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        token = _token(parts)
        environment = {
            "ROSTERD_DATA_DIR": str(folder),
            "ROSTERD_DATABASE_URL": url,
            "ROSTERD_BROKER_URL": "memory://",
            "ROSTERD_LOG_LEVEL": "error",
            "ROSTERD_SCIM_RATE": "1000000",
        }
        with serving("worker.web.asgi:app", environment) as (port, process):
            yield Service(port, "/scim/v2", token), parts, process


def _token(parts: Container) -> str:
    """Of a connection whose breaker lets everybody go."""
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        use.add_account("bench", owner=None, domains=["example.com"], parent=None, several=False)
        made = use.add_connection(
            use.account("bench"),
            name="bench",
            source="scim",
            scope=Scope(),
            settings={"breaker_min": "10000000"},
            secret="",
            observe=False,
        )
    return made.bearer_token


def mixes(server: str | None, folder: Path, people: int) -> Iterator[tuple[float, Times]]:
    """The mix over one connection, then over eight."""
    with scim_service(server, folder) as (service, _, _):
        for lines in (1, 8):
            yield asyncio.run(mix(service, people=people, lines=lines))


def peer_mixes(server: str, peer: Path, people: int) -> Iterator[tuple[float, Times]]:
    """The same mix for another service, from the folder that npm installed it in."""
    node = shutil.which("node")
    if node is None or not (peer / "node_modules/@boxyhq/saml-jackson").is_dir():
        raise RefusedError(
            f"there is no node, or no service in {peer}: "
            f"npm install --prefix {peer} @boxyhq/saml-jackson"
        )
    with scratch_database(server, peer) as url:
        port = free_port("127.0.0.1")
        script = str(files("worker.cli.bench").joinpath("peer/jackson.js"))
        plain = url.replace("+psycopg", "")
        command = [node, script, str(peer), plain, str(port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        try:
            assert process.stdout is not None
            told = process.stdout.readline().split()
            if len(told) != 2:  # noqa: PLR2004 - its path and its secret
                raise RefusedError("the other service did not start")
            for lines in (1, 8):
                service = Service(port, told[0], told[1])
                yield asyncio.run(mix(service, people=people, lines=lines))
        finally:
            process.terminate()
            process.wait()


def lookups(server: str, folder: Path, people: int) -> float:
    """p99 in milliseconds of `filter=userName eq` among so many people."""
    with scim_service(server, folder) as (service, parts, _):
        account, connection = _mine(parts)
        fill_scim(parts.database, account, connection, people)
        return asyncio.run(_look_up(service, people))


def _mine(parts: Container) -> tuple[str, str]:
    with parts.database.read() as sql:
        row = sql.exec_driver_sql("SELECT account_id, id FROM connections").one()
    return str(row[0]), str(row[1])


async def _look_up(service: Service, people: int) -> float:
    times = Times()
    async with Line(service, times) as line:
        for number in range(LOOKUPS):
            who = number * (people // LOOKUPS) + 1
            path = f"/Users?filter=userName%20eq%20%22x{who}%40x.example%22"
            told = await line.ask("lookup", "GET", path)
            if told["totalResults"] != 1:
                raise RefusedError(f"{told['totalResults']} people are called x{who}")
    # The first ones open connections and read pages into memory.
    return percentile(times.of["lookup"][LOOKUPS // 10 :], 0.99)


def group_changes(server: str, folder: Path, members: int) -> list[float]:
    """Milliseconds to add or remove one of `members` and one of ten; a PUT's seconds and MiB.

    The PUT replaces the large group by all but every hundredth; its MiB are what the web process
    grew by at most.
    """
    with scim_service(server, folder) as (service, parts, process):
        account, connection = _mine(parts)
        fill_scim(parts.database, account, connection, members)
        ids = _ids(parts)
        return asyncio.run(_change(service, ids, process))


def _ids(parts: Container) -> list[str]:
    with parts.database.read() as sql:
        found = sql.exec_driver_sql("SELECT id FROM scim_resources WHERE kind = 'User' ORDER BY id")
        return [str(row[0]) for row in found]


async def _change(service: Service, ids: list[str], process: int) -> list[float]:
    times = Times()
    async with Line(service, times) as line:
        made = {}
        for name, some in (("large", ids[1:]), ("small", ids[1:11])):
            body = {"schemas": [GROUP], "displayName": name, "members": _values(some)}
            made[name] = (await line.ask("made", "POST", "/Groups", body))["id"]
        for _ in range(TURNS):
            for name, id_ in made.items():
                path = f"/Groups/{id_}?excludedAttributes=members"
                await line.ask(name, "PATCH", path, patch("add", "members", _values(ids[:1])))
                gone = f'members[value eq "{ids[0]}"]'
                await line.ask(name, "PATCH", path, patch("remove", gone))
        before, began = _mib(process), time.perf_counter()
        kept = [one for place, one in enumerate(ids) if place % 100]
        body = {"schemas": [GROUP], "displayName": "large", "members": _values(kept)}
        path = f"/Groups/{made['large']}?excludedAttributes=members"
        await line.ask("put", "PUT", path, body)
        seconds = time.perf_counter() - began
    medians = [percentile(times.of[name], 0.5) for name in ("large", "small")]
    return [*medians, seconds, _peak_mib(process) - before]


def _values(ids: list[str]) -> list[dict[str, str]]:
    return [{"value": one} for one in ids]


def _mib(pid: int) -> float:
    return _status(pid, "VmRSS")


def _peak_mib(pid: int) -> float:
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    """MiB of the largest process at or below one: a server's workers do the work."""
    found = []
    for one in [pid, *_children(pid)]:
        text = Path(f"/proc/{one}/status").read_text(encoding="ascii")
        found.append(float(text.partition(f"{name}:")[2].split()[0]) / 1024)
    return max(found)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]
