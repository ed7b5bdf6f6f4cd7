"""The retry schedule: a value, jittered, capped, finite (F33)."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.retry import GiveUp, RetryIn, RetryPolicy, companions, decide_retry


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
