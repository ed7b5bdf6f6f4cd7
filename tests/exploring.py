"""How many examples a property tries: the same ones in every run, or new ones on request."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: ROSTERD_TEST_EXPLORE=30 pytest tests/property: thirty times as many examples, drawn afresh.
EXPLORE = int(os.environ.get("ROSTERD_TEST_EXPLORE", "0"))


def patient(examples: int) -> settings:
    """So many examples, fixed, so that a red build means a change; or many new ones."""
    return settings(
        max_examples=examples * max(1, EXPLORE),
        derandomize=not EXPLORE,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
