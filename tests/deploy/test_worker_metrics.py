"""A worker's --metrics-port: its own counters, and the state as any web process tells it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.deploy.drill import scraped, staged
from tests.deploy.film import Frame, series
from tests.servers import await_true, free_port

#: Of the process that tells it, or of the moment.
OWN = re.compile(r"rosterd_(clock_skew|.*_age|(connection|feed)_last_heard)_seconds")


def states(seen: Frame) -> dict[object, float]:
    """The state gauges alone: work counters differ between processes by their nature."""
    work = re.compile(r".*_(total|created|bucket|count|sum)$")
    return {k: 0.0 if OWN.match(k[0]) else v for k, v in seen.items() if not work.match(k[0])}


@pytest.mark.timeout(120)
def test_t41_it_tells_what_web_tells_and_its_parent_speaks_to_no_database(
    postgres_url: str, tmp_path: Path
) -> None:
    port, web_port = free_port(), free_port()
    with (
        staged(postgres_url, tmp_path) as (drill, _),
        drill.process("web", "--port", str(web_port)),
        drill.process("worker", "--lanes", "bulk", "--metrics-port", str(port)) as parent,
    ):
        drill.rosterd.account("example.org", name="beta")
        drill.rosterd.feed(drill.feed)
        worker, web = scraped(port), scraped(web_port)

        def are_equal() -> bool:
            told, by_web = (states(series(scrape() or "")) for scrape in (worker, web))
            swept = ("rosterd_sweeper_last_success_timestamp_seconds", ())
            told.pop(swept)
            by_web.pop(swept)
            return told == by_web and len(told) > 80

        await_true(are_equal, name="the same state")
        seen = series(worker() or "")
        of_beta = (("account", "beta"), ("connection", "standard"))
        assert ("rosterd_suspension_oldest_age_seconds", of_beta) in seen
        assert ("rosterd_invariant_violations_total", (("kind", "batch_broke"),)) in seen
        database = make_url(postgres_url).port or 5432
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert any(connections(int(child), database) for child in children)
        assert connections(parent.pid, database) == 0


def connections(pid: int, port: int) -> int:
    """TCP connections of a process to this port, by what Linux tells."""
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {row[9] for line in table if (row := line.split())[2].endswith(f":{port:04X}")}
    links = [
        path.readlink().name for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()
    ]
    return sum(link in {f"socket:[{inode}]" for inode in inodes} for link in links)
