"""The gate of the breaker where one event asks for several things (C6, D10)."""

from __future__ import annotations

from datetime import timedelta

from domain.breaker import BreakerRule
from domain.changes import ProvisionUser, SuspendUser
from domain.inbox import Reason, State
from tests.builders import drain, policy
from tests.fakes.memory import START, Memory


def test_c6_d10_a_suspension_beside_a_refused_change_is_held_and_then_its_part_applied() -> None:
    memory = Memory(policy(breaker=BreakerRule(least=1, percent=0)))
    for key in ("u0", "u1"):
        memory.add(f"hire {key}", ProvisionUser(key, f"{key}@example.com"), at=START)
    drain(memory)
    later = START + timedelta(days=1)
    memory.add("leave", SuspendUser("u0"), at=later)
    elsewhere = ProvisionUser("x", "x@elsewhere.org")
    memory.add("both", elsewhere, SuspendUser("u1"), at=later)
    drain(memory)
    (held,) = [r for r in memory.state.results.values() if r.state is State.HELD]
    assert (held.event.type, held.reason) == ("both", Reason.BREAKER)
    assert _out(memory) == {"u0"}
    memory.answer_holds(approve=True)
    drain(memory)
    (dead,) = [r for r in memory.state.results.values() if r.state is State.DEAD]
    assert (dead.event.type, dead.applied_part) == ("both", "suspension")
    assert _out(memory) == {"u0", "u1"}


def _out(memory: Memory) -> set[str | None]:
    return {p.user for p in memory.state.people.values() if p.is_suspended}
