"""When subscriptions are opened, renewed and closed: by the clock, the secret and the address."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.subscribing import (
    LOOK_AGAIN,
    Aim,
    Do,
    Made,
    Step,
    Subscription,
    Turn,
    look_at,
    next_step,
    renew_at,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AIM = Aim("https://rosterd.example.com/hooks/fed_1", "sec_1", "s3cret")


def kept(topic: str = "users", *, days: float = 20, **more: object) -> Subscription:
    """One that ends so many days from now, and was made 28 days before that."""
    made = Made(f"{topic}-{days}", NOW + days * DAY)
    half = renew_at(made, made.ends_at - 28 * DAY)
    one = Subscription(f"sub-{topic}-{days}", topic, made, AIM.url, AIM.bears, half)
    return replace(one, **more)  # type: ignore[arg-type]


def step(
    *subscriptions: Subscription, can_renew: bool = True, aim: Aim | None = AIM
) -> Step | None:
    turn = Turn("con_1", 1, 0, aim, subscriptions)
    return next_step(turn, ("users", "groups"), NOW, can_renew=can_renew)


BOTH = (kept("users"), kept("groups"))


def test_what_is_missing_is_opened_and_what_is_well_is_left_alone() -> None:
    assert step() == Step(Do.OPEN, "users")
    assert step(BOTH[0]) == Step(Do.OPEN, "groups")
    assert step(*BOTH) is None


def test_half_a_life_before_the_end_it_is_renewed() -> None:
    assert step(kept(days=14.1), BOTH[1]) is None
    old = kept(days=13.9)
    assert step(old, BOTH[1]) == Step(Do.RENEW, "users", old)


def test_one_that_ended_is_opened_anew_before_the_rest_of_it_is_closed() -> None:
    over = kept(days=-1)
    assert step(over, BOTH[1]) == Step(Do.OPEN, "users")
    assert step(over, *BOTH) == Step(Do.CLOSE, "users", over)


@pytest.mark.parametrize("more", [{"bears": "sec_0"}, {"url": "https://old.example.com/hooks/1"}])
def test_another_secret_or_address_is_another_subscription(more: dict[str, str]) -> None:
    old = replace(kept(), **more)  # type: ignore[arg-type]
    assert step(old, BOTH[1]) == Step(Do.OPEN, "users")
    assert step(old, *BOTH) == Step(Do.CLOSE, "users", old)


def test_where_nothing_is_renewed_another_overlaps_the_old_one() -> None:
    old = kept(days=10)
    assert step(old, BOTH[1], can_renew=False) == Step(Do.OPEN, "users")
    assert step(old, *BOTH, can_renew=False) == Step(Do.CLOSE, "users", old)


def test_without_a_feed_all_are_closed_and_so_is_what_nobody_wants() -> None:
    assert step(*BOTH, aim=None) == Step(Do.CLOSE, "users", BOTH[0])
    assert step(aim=None) is None
    foreign = kept("devices")
    assert step(*BOTH, foreign) == Step(Do.CLOSE, "devices", foreign)


def test_a_look_is_taken_soon_or_when_one_is_due() -> None:
    assert look_at((), NOW) == NOW + LOOK_AGAIN
    assert look_at(BOTH, NOW) == NOW + LOOK_AGAIN
    due = replace(BOTH[0], renew_at=NOW + timedelta(seconds=7))
    assert look_at((due, BOTH[1]), NOW) == due.renew_at
