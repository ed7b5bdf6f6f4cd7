"""What is told by an address that somebody else has by the time it is read (U3, G1, G2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.channels import connected
from tests.fakes.google import FakeGoogle
from tests.harness import Rosterd
from tests.hydrating import reading, settle
from worker.adapters.db.reconciliation_rows import catch_ups

SOON = timedelta(seconds=20)


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path, directory_seconds=5) as made:
        yield made


def test_g1_a_group_whose_address_another_has_by_now_is_gone(
    rosterd: Rosterd, google: FakeGoogle
) -> None:
    connected(rosterd, google)
    google.user("101")
    google.group("g1", "team@example.com", "Team")
    google.join("g1", "101")
    settle(rosterd)
    google.shift += 3
    google.delete_group("g1")
    google.group("g2", "team@example.com", "Team")
    settle(rosterd)
    groups = [line["external_id"] for line in rosterd.export() if line["kind"] == "group"]
    assert groups == ["g2"]
    assert {row["state"] for row in rosterd.events()} == {"ended"}


def test_u3_g2_a_leaver_whose_address_another_has_by_now_is_out_by_the_log(
    rosterd: Rosterd, google: FakeGoogle
) -> None:
    feed = connected(rosterd, google, catch_up_every="1s")
    catch_up = rosterd.parts.reading.catch_up
    catch_up.run(feed.connection, budget=SOON)
    google.user("101", primaryEmail="desk@example.com")
    settle(rosterd)
    google.post = None  # what its hooks would have told is lost
    google.shift += 3
    google.delete("101")
    google.shift += 3
    google.user("102", primaryEmail="desk@example.com")
    with rosterd.parts.database.begin() as sql:
        sql.execute(catch_ups.update().values(due_at=rosterd.at(0), lease_until=None))
        sql.commit()
    catch_up.run(feed.connection, budget=SOON)
    settle(rosterd)
    states = {one["external_id"]: one["state"] for one in rosterd.users()}
    assert states.get("101") != "invited", "the leaver is out"
    assert states["102"] == "invited", "and the newcomer in: by E8 the same person, hired again"
    assert {row["state"] for row in rosterd.events()} == {"ended"}
