"""Every rule that this version keeps is named by a test."""

from __future__ import annotations

from tests.rules import KEPT, named


def test_each_kept_rule_is_named_by_a_test() -> None:
    tests = named()
    assert [rule for rule in KEPT if not tests.get(rule)] == []
