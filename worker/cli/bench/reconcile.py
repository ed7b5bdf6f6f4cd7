"""A directory of many people read and compared: time a person, and the process's memory."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from domain.directories import (
    DirectoryError,
    Logged,
    Page,
    Read,
    ReadGroup,
    ReadMembership,
    ReadPerson,
)
from domain.reconciliation import Order, Purpose
from worker.adapters.db.filling import fill_told
from worker.adapters.db.scratch import scratch_database
from worker.cli.bench.claims import connection_of
from worker.cli.bench.scratch import connect, rosterd_on

#: People on a page, as the largest of the vendors' pages.
PAGE = 200
#: Members of each group.
MEMBERS = 1_000
#: Of so many people one differs.
ONE_IN = 100
_KIB = 1024 if sys.platform == "linux" else 1024 * 1024
_FOREVER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Measured:
    """Microseconds of a person read, compared and told; MiB that the process had at most."""

    each: float
    most: float


def _person(number: int) -> ReadPerson:
    name = "Eva" if number % ONE_IN == 0 else "Ana"
    return ReadPerson(f"u{number}", f"u{number}@example.com", {"given_name": name})


class Generated:
    """`Directory` of people that are made as they are asked for: it keeps none of them."""

    def __init__(self, people: int) -> None:
        self._people = people

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """Everybody as they were filled in, one in a hundred with another name."""
        first = int(after or 0)
        keys = range(first, min(first + PAGE, self._people))
        return self._page(tuple(map(_person, keys)), keys.stop, self._people)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """A group for each thousand people."""
        first, count = int(after or 0), max(1, self._people // MEMBERS)
        keys = range(first, min(first + PAGE, count))
        found = tuple(ReadGroup(f"g{key}", f"Group {key}") for key in keys)
        return self._page(found, keys.stop, count)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """A thousand of them."""
        base, first = int(group[1:]) * MEMBERS, int(after or 0)
        count = min(MEMBERS, self._people - base)
        keys = range(first, min(first + PAGE, count))
        return self._page(tuple(f"u{base + key}" for key in keys), keys.stop, count)

    def _page(self, items: tuple[Any, ...], end: int, total: int) -> Page[Any]:
        following = str(end) if end < total else None
        return Page(items, datetime.now(UTC) - timedelta(seconds=1), following, total)

    def person(self, key: str) -> Read[ReadPerson]:
        """Nobody is extra."""
        raise DirectoryError(f"{key} was asked for by name")

    def group(self, key: str) -> Read[ReadGroup]:
        """Likewise."""
        raise DirectoryError(f"{key} was asked for by name")

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        """Likewise."""
        raise DirectoryError(f"{user} in {group} was asked for by name")

    def log(self, cursor: str) -> Logged:  # noqa: ARG002
        """It has none."""
        raise DirectoryError("there is no log", needs_operator=True)


def reconciled(server: str | None, folder: Path, people: int) -> Measured:
    """A run over so many people whom we have, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        connect(parts)
        connection = connection_of(parts)
        fill_told(parts.database, connection, people)
        with context.Pool(1) as pool:
            return pool.apply(_run, (url, folder, connection, people))


def _run(url: str, folder: Path, connection: str, people: int) -> Measured:
    with rosterd_on(url, folder) as parts:
        reading = replace(parts.reading, directory_of=lambda _id: Generated(people))
        run = reading.reconcile.begin(connection, Order(Purpose.RECONCILE, False, "bench", ""))
        began = time.perf_counter()
        while reading.reconcile.go_on(run, budget=_FOREVER):
            pass
        spent = time.perf_counter() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB / 2**20
    return Measured(spent / people * 1e6, most)
