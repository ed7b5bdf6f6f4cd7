"""D3: a history that is told the same again and again stays small, and says the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import ordering
from domain.model import UserFacts, Word
from domain.ordering import remember, run_start, standing
from domain.policy import Scope
from domain.values import Stamp

SECOND = 1_000_000
#: In place of a thousand, which takes long to be filled.
MOST = 100
LARGE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MOST_WORDS", MOST)


def told(*runs: tuple[int, bool]) -> list[Word]:
    """So many words of a value after each other, a second apart."""
    values = [value for count, value in runs for _ in range(count)]
    return [Word(Stamp(n * SECOND, 0, f"e{n}"), "fed", value) for n, value in enumerate(values)]


def history_of(words: list[Word]) -> tuple[Word, ...]:
    history: tuple[Word, ...] = ()
    for word in words:
        history = remember(history, word)
    return history


def stands(history: tuple[Word, ...]) -> ordering.Standing:
    return standing(UserFacts(actives=history), Scope())


@LARGE
@given(st.lists(st.tuples(st.integers(1, 150), st.booleans()), min_size=1, max_size=5))
def test_who_is_described_every_second_has_a_history_that_ends(
    runs: list[tuple[int, bool]],
) -> None:
    words = told(*runs)
    history = history_of(words)
    assert len(history) <= MOST
    pairs = zip(words[1:], words, strict=False)
    changes = [words[0], *(word for word, before in pairs if word.value != before.value)]
    assert changes == [
        word for n, word in enumerate(history) if n == 0 or history[n - 1].value != word.value
    ]
    assert run_start(history) == run_start(tuple(words))
    assert stands(history) == stands(tuple(words))


@LARGE
@given(late=st.integers(0, 3 * MOST))
def test_a_late_word_among_many_is_heard_as_of_its_moment(late: int) -> None:
    words = told((3 * MOST + 1, True))
    gone = Stamp(late * SECOND + 1, 0, "late")
    found = stands(remember(history_of(words), Word(gone, "fed", False)))
    assert found.is_active == (late < 3 * MOST)
    (absence,) = found.absences
    assert absence.gone == gone
    assert (absence.back is None) == (late == 3 * MOST)
