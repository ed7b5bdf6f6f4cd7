"""The retry schedule: a value, jittered, capped, finite (F33)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ports import InfrastructureError
from domain.retry import (
    TRANSACTION_TRIES,
    TRANSACTION_WAIT,
    GiveUp,
    RetryIn,
    RetryPolicy,
    again,
    companions,
    decide_retry,
)


@given(
    attempts=st.integers(1, 200),
    dice=st.floats(0, 1, exclude_max=True),
    limit=st.integers(1, 100),
    after=st.none() | st.timedeltas(timedelta(-5), timedelta(5)),
)
def test_every_wait_is_bounded_and_the_end_comes(
    attempts: int, dice: float, limit: int, after: timedelta | None
) -> None:
    policy = RetryPolicy(max_attempts=limit)
    verdict = decide_retry(policy=policy, attempts=attempts, random=lambda: dice, retry_after=after)
    if attempts >= limit:
        assert verdict == GiveUp(attempts)
        return
    assert isinstance(verdict, RetryIn)
    assert timedelta(0) <= verdict.wait <= max(policy.cap, timedelta(days=1))
    if after is not None and timedelta(0) <= after <= timedelta(days=1):
        assert verdict.wait >= after


@given(st.integers(1, 60))
def test_the_ceiling_only_grows_up_to_the_cap(attempts: int) -> None:
    policy = RetryPolicy()
    assert policy.ceiling(attempts) <= policy.ceiling(attempts + 1) <= policy.cap


def test_d6_suspects_share_ever_smaller_batches() -> None:
    sizes = [companions(attempts=0, crashes=n) for n in range(1, 6)]
    assert sizes == [60, 8, 1, 1, 1]
    assert companions(attempts=1, crashes=0) == 10


@given(dice=st.floats(0, 1, exclude_max=True), failures=st.integers(0, 5))
def test_t24_a_transaction_is_made_three_times_at_most_with_full_jitter(
    dice: float, failures: int
) -> None:
    slept: list[float] = []
    tried: list[int] = []

    def unit() -> str:
        tried.append(len(tried))
        if len(tried) <= failures:
            raise InfrastructureError("met", is_conflict=True)
        return "done"

    def make() -> str:
        return again(unit, random=lambda: dice, sleep=slept.append, report=lambda _n, _f: None)

    if failures < TRANSACTION_TRIES:
        assert make() == "done"
    else:
        with pytest.raises(InfrastructureError):
            make()
    assert len(tried) == min(failures + 1, TRANSACTION_TRIES)
    longest = [TRANSACTION_WAIT, 2 * TRANSACTION_WAIT]
    assert slept == pytest.approx([dice * wait for wait in longest[: len(tried) - 1]])
    assert sum(longest) < 0.2, "somebody waits for the answer"


@pytest.mark.parametrize("error", [InfrastructureError("away"), ValueError("broken")])
def test_t24_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    tried: list[int] = []

    def unit() -> None:
        tried.append(1)
        raise error

    with pytest.raises(type(error)):
        again(unit, random=lambda: 0.5, sleep=lambda _s: None, report=lambda _n, _f: None)
    assert tried == [1]
