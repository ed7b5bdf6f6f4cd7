"""The order in which tests run: what takes long begins first, and not beside one another.

pytest-xdist's `worksteal` gives each worker an equal part of the list, and who is done takes from
the end of another's part. A worker that comes to a test of a minute last lets all others wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

import pytest

#: Modules whose tests take long, in seconds on two busy cores. Only the order follows from it.
SECONDS = {
    "chaos/test_chaos.py": 100,
    "deploy/test_commands.py": 20,
    "deploy/test_drills.py": 170,
    "deploy/test_image.py": 70,
    "e2e/test_bench.py": 40,
    "e2e/test_injured.py": 120,
    "e2e/test_processes.py": 60,
    "e2e/test_reading_killed.py": 40,
    "e2e/test_story.py": 30,
    "e2e/test_three_am.py": 20,
    "fuzz/test_fuzz.py": 50,
    "fuzz/test_fuzz_http.py": 20,
    "fuzz/test_schemathesis_api.py": 50,
    "integration/scim/test_conformance.py": 50,
    "integration/scim/test_races.py": 60,
    "integration/test_breaker.py": 60,
    "integration/test_console_browser.py": 40,
    "integration/test_convergence_on_databases.py": 40,
    "integration/test_database_faults.py": 60,
    "integration/test_disk_full.py": 20,
    "integration/test_exchanges.py": 50,
    "integration/test_google.py": 60,
    "integration/test_groups_by_hand.py": 70,
    "integration/test_mail_servers.py": 50,
    "integration/test_plans.py": 40,
    "integration/test_tenant_routes.py": 300,
    "integration/test_upgrade.py": 40,
    "property/test_convergence.py": 100,
}


def arranged(items: Sequence[pytest.Item], *, workers: int) -> list[pytest.Item]:
    """The same items, for so many workers; the same order in each of them."""
    modules: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        modules[item.nodeid.partition("::")[0]].append(item)
    # What mostly waits lies together in the tree; beside one another it leaves processors idle.
    mixed = sorted(modules, key=lambda name: sha256(name.encode()).digest())
    hands = _dealt([name for name in mixed if _seconds(name)], workers)
    rest = [item for name in mixed if not _seconds(name) for item in modules[name]]
    found: list[pytest.Item] = []
    for at, hand in enumerate(hands):
        share = (len(items) - len(found)) // (workers - at)
        first = [item for name in hand for item in modules[name]]
        some = max(0, share - len(first))
        found += [*first, *rest[:some]]
        rest = rest[some:]
    return [*found, *rest]


def _seconds(module: str) -> int:
    return SECONDS.get(module.removeprefix("tests/"), 0)


def _dealt(modules: Sequence[str], workers: int) -> list[list[str]]:
    """The longest first, each to the hand that has least."""
    hands: list[list[str]] = [[] for _ in range(workers)]
    for module in sorted(modules, key=lambda name: -_seconds(name)):
        min(hands, key=lambda hand: sum(map(_seconds, hand))).append(module)
    return hands
