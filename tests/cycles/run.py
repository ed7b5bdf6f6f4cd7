"""A cycle from an empty database on, and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.cycles.entra import Entra
from tests.cycles.okta import AGENT, Okta
from tests.cycles.staff import company
from tests.cycles.wire import Phase, Wire
from tests.harness import Rosterd
from tests.scim import speaking


def entra(rosterd: Rosterd, people: int) -> list[Phase]:
    """The whole cycle of Entra ID: it sends no User-Agent."""
    feed = rosterd.account("example.com", source="scim", name="entra", breaker_min="100000")
    wire = Wire(rosterd, speaking(rosterd, feed).token)
    Entra(wire, *company(people, prefix="e")).live()
    return wire.phases


def okta(rosterd: Rosterd, people: int) -> list[Phase]:
    """The whole cycle of Okta: SCIM and event hook are two feeds of one connection."""
    feed = rosterd.account("example.com", source="scim", name="okta", breaker_min="100000")
    hook = rosterd.feed(feed, "okta")
    wire = Wire(rosterd, speaking(rosterd, feed).token, AGENT)
    Okta(wire, *company(people, prefix="00u"), hook).live()
    return wire.phases


PROVIDERS: dict[str, Callable[[Rosterd, int], list[Phase]]] = {"entra": entra, "okta": okta}

_ROW = "{:<34} {:>8} {:<18} {:<34} {:>7}  {}"


def table(phases: list[Phase]) -> str:
    """A line a phase: requests, statuses, outcomes, seconds, and whether all is as it should be."""
    head = _ROW.format("phase", "requests", "statuses", "events", "s", "directory")
    lines = [
        _ROW.format(
            one.name,
            one.requests.total(),
            _counted(one.statuses),
            _counted(one.outcomes),
            f"{one.seconds:.1f}",
            "as the provider has it" if not one.faults else f"{len(one.faults)} FAULTS",
        )
        for one in phases
    ]
    faults = [f"  {one.name}: {fault}" for one in phases for fault in one.faults[:5]]
    return "\n".join([head, *lines, *faults])


def _counted(found: Counter[int] | Counter[str]) -> str:
    return " ".join(f"{count}x{name}" for name, count in sorted(found.items(), key=str)) or "-"
