"""Every recorded file has a verdict, and none is taken for the opposite of what it was meant as."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.recorded import recorded
from tests.recorded_table import OURS, Row, rows, table

#: Read by others as somebody's leaving, and yet nobody leaves by it; why.
NOBODY_LEAVES = {
    "fusionauth/user.delete.json": "told before it is done; the event after it suspends",
    "ssf/risc-account-disabled-1.json": "names nobody by an id or an address",
    "workos/authkit-user.deleted.json": "a user of the application's own sign-in, of no directory",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return recorded()


@pytest.fixture(scope="module")
def found(folder: Path) -> list[Row]:
    return list(rows(folder))


def test_no_file_is_without_a_verdict(folder: Path, found: list[Row]) -> None:
    assert [row.file for row in found if not row.outcome] == []
    listed = {one["file"] for one in json.loads((folder / "index.json").read_bytes())}
    assert listed <= {row.file for row in found}


def test_every_request_of_a_source_is_proven_or_says_why_not(found: list[Row]) -> None:
    unproven = [row for row in found if row.source and row.source != "scim" and row.events is None]
    assert {row.outcome for row in unproven} == {"refused: nothing in it proves a sender"}
    assert all(row.file.startswith("entra/auditlog-") for row in unproven)
    assert [row.file for row in found if row.proof == "by its published key"]


def test_who_leaves_is_out_or_asked_for(found: list[Row]) -> None:
    leaving = [row for row in found if row.proof == OURS and _is_leaving(row.meant)]
    assert len(leaving) > 15
    kept = [r.file for r in leaving if "SuspendUser" not in r.outcome and "read" not in r.outcome]
    assert sorted(kept) == sorted(NOBODY_LEAVES)


def test_nobody_who_leaves_is_let_in(found: list[Row]) -> None:
    for row in found:
        if _is_leaving(row.meant):
            assert "ReactivateUser" not in row.outcome, row
            assert "ProvisionUser" not in row.outcome, row


def _is_leaving(meant: str) -> bool:
    return meant in {"user.suspend", "user.delete"}


def test_a_file_that_nobody_knows_is_seen(tmp_path: Path) -> None:
    (tmp_path / "newvendor").mkdir()
    (tmp_path / "newvendor" / "event.json").write_text("{}", encoding="utf-8")
    assert [row.outcome for row in rows(tmp_path)] == [""]


def test_the_table_is_one(folder: Path) -> None:
    lines = table(folder).splitlines()
    assert {line.count(" | ") for line in lines if line.startswith("| ")} == {5}
    assert lines[-1].endswith(" events.")
