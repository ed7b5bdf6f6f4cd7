"""Entra's and Okta's whole cycles, small; `python -m tests.cycles` plays them with 1,000 people."""

from __future__ import annotations

import pytest

from tests.cycles.run import PROVIDERS, table
from tests.harness import Rosterd


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_phase_ends_as_the_provider_has_it(rosterd: Rosterd, provider: str) -> None:
    """U1, U3, U4, U8, G1, E3: from the first connection test to the last group."""
    phases = PROVIDERS[provider](rosterd, 24)
    assert [one.name for one in phases if one.faults] == [], table(phases)
    assert {"applied"} <= {name for one in phases for name in one.outcomes}
    assert "dead" not in {name for one in phases for name in one.outcomes}
