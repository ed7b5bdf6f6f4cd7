"""The same port over memory, SQLite and PostgreSQL: one fixture, three implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from domain.changes import ProvisionUser
from domain.ports import DrainWork
from tests.builders import policy
from tests.fakes.memory import START, Memory
from tests.harness import Feed, Rosterd


@dataclass(frozen=True)
class Port:
    """One implementation: how to begin a unit of work, and how an event gets in."""

    name: str
    account: str
    connection: str
    work: Callable[[], AbstractContextManager[DrainWork]]
    add: Callable[[str], None]


def in_memory() -> Port:
    memory = Memory(policy())

    def add(name: str) -> None:
        memory.add(name, ProvisionUser(name, f"{name}@example.com", {}), at=START)

    work = cast("Callable[[], AbstractContextManager[DrainWork]]", memory.work)
    return Port("memory", "acc", "con", work, add)


def in_sql(rosterd: Rosterd, name: str) -> Port:
    feed: Feed = rosterd.account()

    def add(name: str) -> None:
        data = {"id": name, "email": f"{name}@example.com"}
        assert rosterd.tell(feed, "user.upserted", data, id_=name, drain=False) == 200

    work = cast("Callable[[], AbstractContextManager[DrainWork]]", rosterd.parts.works)
    return Port(name, rosterd.account_id, feed.connection, work, add)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Port]:
    """Each test that asks for it runs over every implementation."""
    if request.param == "memory":
        yield in_memory()
        return
    rosterd = Rosterd(str(request.getfixturevalue(f"{request.param}_url")), tmp_path)
    with rosterd.serving():
        yield in_sql(rosterd, request.param)
    rosterd.close()
