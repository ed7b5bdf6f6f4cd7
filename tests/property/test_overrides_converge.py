"""U9, G4: overrides are decisions; when they are over, the directory is as if they never were."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.consequences import link_of
from domain.model import Override
from domain.overriding import override, without_override
from tests.builders import IdP, accept, drain, policy
from tests.exploring import patient
from tests.fakes.memory import START, Memory

KEYS = ["u0", "u1", "u2", "u3"]


def _told(memory: Memory, log: list) -> None:  # type: ignore[type-arg]
    for name, at, change in log:
        memory.add(name, change, at=at)
        drain(memory)


def _outrank(memory: Memory, wanted: dict[str, Override]) -> None:
    for person in list(memory.state.people.values()):
        if person.user in wanted:
            memory.state.people[person.id] = override(
                person,
                wanted[person.user],
                until=START + timedelta(days=1),
                now=START,
                protected=(),
            )


def _end(memory: Memory) -> None:
    for person in list(memory.state.people.values()):
        memory.state.people[person.id] = without_override(person, protected=())


@patient(400)
@given(data=st.data(), before=st.integers(1, 8), after=st.integers(1, 8))
def test_u9_any_order_under_overrides_and_no_drift_after_them(
    data: st.DataObject, before: int, after: int
) -> None:
    idp = IdP(data, may_rehire=False)
    for _ in range(before):
        idp.step()
    early = list(idp.log)
    for _ in range(after):
        idp.step()
    late = idp.log[len(early) :]
    yes = data.draw(st.sets(st.sampled_from(KEYS)))
    wanted = data.draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(list(Override))))
    never, told, other = (Memory(policy()) for _ in range(3))
    for memory in (never, told, other):
        _told(memory, early)
        for person in list(memory.state.people.values()):
            if person.user in yes and link_of(person) is not None:
                accept(memory, person.id)
    for memory in (told, other):
        _outrank(memory, wanted)
    _told(never, late)
    _told(told, late)
    _told(other, data.draw(st.permutations(late)))
    assert other.export() == told.export()
    for memory in (told, other):
        _end(memory)
    assert told.export() == never.export()
