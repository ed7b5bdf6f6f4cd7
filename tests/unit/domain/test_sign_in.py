"""Tries, passwords, where to go back to, how long a session lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UsageError
from domain.sign_in import (
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    FREE_OF_NAME,
    LONGEST_AGENT,
    LONGEST_WAIT,
    SessionRule,
    Tries,
    Visitor,
    check_password,
    local_path,
    one_more,
    operator_key,
)

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)


def after(count: int) -> Tries:
    """So many in a row, each as soon as it may be made."""
    tries, now = None, NOW
    for _ in range(count):
        tries = one_more(tries, now, FREE_OF_NAME)
        now += tries.wait(now)
    assert tries is not None
    return tries


def test_the_first_tries_are_free_then_each_waits_twice_as_long_up_to_a_limit() -> None:
    waits = [(t := after(n)).free_at - t.last_at for n in range(1, 14)]
    free = FREE_OF_NAME - 1
    assert waits[:free] == [timedelta()] * free
    assert waits[free : free + 5] == [FIRST_WAIT * 2**n for n in range(5)]
    assert waits[free + 5 :] == [LONGEST_WAIT] * (len(waits) - free - 5)


def test_tries_are_forgotten_after_a_while_without_one() -> None:
    tries = after(9)
    later = tries.last_at + FORGOTTEN_AFTER
    assert one_more(tries, later, FREE_OF_NAME).count == 10
    assert one_more(tries, later + timedelta(seconds=1), FREE_OF_NAME).count == 1


@given(count=st.integers(0, 10**9))
def test_however_many_there_were_the_wait_has_a_limit(count: int) -> None:
    tries = one_more(Tries(count, NOW, NOW), NOW, FREE_OF_NAME)
    assert timedelta() <= tries.wait(NOW) <= LONGEST_WAIT


@pytest.mark.parametrize(
    "password",
    ["", "elevenchars", "x" * 201, "ana@example.com!", "Rosterd-2026-x", "aaaaaaaaaaaaaaaa"],
)
def test_a_password_that_is_guessed_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(UsageError, match="password"):
        check_password(password, "ana@example.com")


def test_other_passwords_are_taken() -> None:
    check_password("twelve chars", "ana@example.com")
    check_password("пароль из многих слов", "ana@example.com")


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/", "/"),
        ("/dead-letters?group=a%20b", "/dead-letters?group=a%20b"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/x\\y", "/"),
        ("\t//evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/a b", "/"),
        ("javascript:alert(1)", "/"),
        ("/\u2028", "/"),
    ],
)
def test_after_signing_in_one_stays_on_this_site(wanted: str, path: str) -> None:
    assert local_path(wanted) == path


def test_a_session_lasts_while_it_is_used_and_not_for_ever() -> None:
    rule = SessionRule(idle=timedelta(hours=2), whole=timedelta(hours=12))
    ends_at = NOW + rule.whole
    assert rule.expires_at(NOW, ends_at) == NOW + timedelta(hours=2)
    assert rule.expires_at(NOW + timedelta(hours=11), ends_at) == ends_at


def test_only_a_to_z_are_the_same_in_both_cases() -> None:
    assert operator_key(" Ana@Example.COM ") == "ana@example.com"
    assert operator_key("\u212aim@example.com") != operator_key("kim@example.com")


def test_what_a_browser_says_of_itself_is_cut_and_printable() -> None:
    told = Visitor("192.0.2.1", "evil\x1b[2J\u202e" + "x" * 1000).shown_agent
    assert told.isprintable()
    assert len(told) == LONGEST_AGENT
