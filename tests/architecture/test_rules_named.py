"""Every rule that this version keeps is named by a test."""

from __future__ import annotations

from tests import failure_modes
from tests.failure_modes import HERE, MODES, existing
from tests.rules import KEPT, named


def test_each_kept_rule_is_named_by_a_test() -> None:
    tests = named()
    assert [rule for rule in KEPT if not tests.get(rule)] == []


def test_each_failure_mode_has_tests_that_exist_or_says_why_not() -> None:
    known = existing()
    assert list(MODES) == [f"F{number:02}" for number in range(1, 44)]
    assert [name for mode in MODES.values() for name in mode.tests if name not in known] == []
    assert [number for number, mode in MODES.items() if not mode.tests and not mode.note] == []


def test_the_table_of_failure_modes_is_the_generated_one() -> None:
    told = (HERE / "README.md").read_text(encoding="utf-8")
    assert failure_modes.table() in told, "python -m tests.failure_modes prints it anew"
