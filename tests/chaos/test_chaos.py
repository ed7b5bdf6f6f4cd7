"""T01, T02, T06, T08, T13, T16, T26, T37, T38 in short; `python -m tests.chaos` is long."""

from __future__ import annotations

import shutil

import pytest

from tests.chaos.play import FAULTS, play, points_of
from tests.conftest import missing
from tests.servers import pg_bin

pytestmark = pytest.mark.long


@pytest.mark.timeout(400)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_g2_g3_g4_injured_at_random_it_ends_as_the_idps_said(broker: str) -> None:
    if shutil.which(f"{broker}-server") is None:
        missing(broker, f"there is no {broker}-server to start")
    if pg_bin() is None:
        missing("postgres", "there is no initdb to make a cluster of its own with")
    told = play(broker, people=60, kills=14, faults=len(FAULTS), seed=7)
    assert (told.lost, told.doubled, told.differing) == (0, 0, 0), told
    assert told.kills.total() == 14
    assert dict(told.faults) == dict.fromkeys(FAULTS, 1), "each kind of fault once"
    assert set(points_of(broker)) <= told.kills.keys(), "a named point at which nobody was killed"
    assert told.broken == [], "a batch broke: a statement error that should be designed out (D8)"
