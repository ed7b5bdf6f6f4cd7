"""G4: any arrival order, duplication and batching of the same events ends in the same directory."""

from __future__ import annotations

from hypothesis import given, note, settings
from hypothesis import strategies as st

from domain.consequences import link_of
from domain.inbox import State
from domain.policy import OnReturn
from tests.builders import IdP, accept, drain, policy
from tests.fakes.memory import Memory

Log = list[tuple[str, object, object]]


def _run(log: list, batches: list[int], **changes: object) -> Memory:  # type: ignore[type-arg]
    memory = Memory(policy(**changes))
    position = 0
    for size in [*batches, len(log)]:
        for name, at, change in log[position : position + size]:
            memory.add(name, change, at=at)
        position += size
        drain(memory)
        if position >= len(log):
            break
    return memory


@settings(max_examples=1500, deadline=None)
@given(data=st.data(), length=st.integers(1, 14))
def test_g4_d1_any_order_duplication_and_batching_gives_the_same_directory(
    data: st.DataObject, length: int
) -> None:
    idp = IdP(data)
    for _ in range(length):
        idp.step()
    log = idp.log
    told = _run(log, [1] * len(log))
    shuffled = data.draw(st.permutations(log))
    again = data.draw(st.lists(st.sampled_from(log), max_size=5)) if log else []
    mixed = data.draw(st.permutations([*shuffled, *again]))
    batches = data.draw(st.lists(st.integers(1, 6), max_size=10))
    other = _run(mixed, batches)
    note("\n".join(f"{name} {change}" for name, _, change in log))
    note(f"arrives as {[name for name, _, _ in mixed]} in {batches}")
    assert other.export() == told.export()
    for memory in (told, other):
        assert all(r.state in (State.ENDED, State.WAITING) for r in memory.state.results.values())
        assert len(memory.state.results) == len(log)


@settings(max_examples=800, deadline=None)
@given(
    data=st.data(),
    before=st.integers(1, 9),
    after=st.integers(1, 9),
    on_return=st.sampled_from(list(OnReturn)),
)
def test_d1_d3_with_the_same_decisions_every_order_gives_the_same_directory(
    data: st.DataObject, before: int, after: int, on_return: OnReturn
) -> None:
    """Members answer at a random point; what came before and after it arrives in any order."""
    idp = IdP(data, may_rehire=False)
    for _ in range(before):
        idp.step()
    first = list(idp.log)
    for _ in range(after):
        idp.step()
    second = idp.log[len(first) :]
    # Facts that arrive late: some of the first part come only after the answers.
    late = data.draw(st.sets(st.sampled_from(range(len(first))))) if first else set()
    early = [e for i, e in enumerate(first) if i not in late]
    rest = [e for i, e in enumerate(first) if i in late] + second
    told = _run(early, [1] * len(early), on_return=on_return)
    other = _run(
        data.draw(st.permutations(early)),
        data.draw(st.lists(st.integers(1, 4))),
        on_return=on_return,
    )
    assert told.export() == other.export()
    chosen = data.draw(st.sets(st.sampled_from(["u0", "u1", "u2", "u3"])))
    for memory in (told, other):
        for person in sorted(memory.state.people.values(), key=lambda p: p.user or ""):
            if person.user in chosen and link_of(person) is not None:
                accept(memory, person.id)
    assert told.export() == other.export()
    _feed(told, rest)
    _feed(other, data.draw(st.permutations(rest)))
    assert told.export() == other.export()


def _feed(memory: Memory, log: list) -> None:  # type: ignore[type-arg]
    for name, at, change in log:
        memory.add(name, change, at=at)
        drain(memory)
