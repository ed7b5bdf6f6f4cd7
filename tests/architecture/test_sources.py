"""Size, naming, docstrings and the calls that have one home: read from the source text."""

from __future__ import annotations

import subprocess

import pytest

from tests.architecture import rules

PRODUCT = ("domain", "worker")


def check(rule: rules.Rule, *folders: str) -> None:
    examined = rules.sources(*folders)
    assert examined, f"no source below {folders}: this test would pass on anything"
    assert [line for source in examined for line in rule(source)] == []


def test_no_file_is_longer_than_its_concept() -> None:
    check(rules.long_file, *PRODUCT)


def test_no_function_is_longer_than_a_screen() -> None:
    check(rules.long_functions, *PRODUCT)


def test_retries_and_delays_are_rows_not_messages() -> None:
    check(rules.broker_schedules, "worker")


def test_transactions_end_in_the_database_adapter_only() -> None:
    check(rules.stray_commits, *PRODUCT)


def test_the_database_adapter_asks_one_clock() -> None:
    check(rules.other_clocks, "worker")


def test_every_module_says_what_lives_in_it() -> None:
    check(rules.silent_module, *PRODUCT)


def test_the_domain_documents_what_it_offers() -> None:
    check(rules.silent_definitions, "domain")


def test_no_module_has_a_name_for_anything_at_all() -> None:
    check(rules.vague_name, *PRODUCT, "tests")


def test_nothing_committed_betrays_the_machine_it_was_written_on() -> None:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=rules.ROOT,
            capture_output=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = rules.ROOT / name
        if path.is_file():
            # Recorded payloads may be any bytes; a path or a host is ASCII wherever it stands.
            found += rules.machine_traces(name, path.read_bytes().decode("latin-1"))
    assert found == []
