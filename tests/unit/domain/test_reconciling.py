"""What an IdP's directory and ours differ in, one case each (D18)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.changes import ProvisionUser, SuspendUser
from domain.directories import ReadGroup, ReadPerson
from domain.model import Group, UserFacts
from domain.policy import GroupRule, Policy
from domain.reconciling import (
    NOBODY,
    Difference,
    KnownPerson,
    Wait,
    What,
    compare_absent_person,
    compare_group,
    compare_person,
)
from domain.record import record
from domain.values import Stamp, to_micros
from tests.builders import policy

AT = datetime(2026, 3, 1, tzinfo=UTC)
READ = ReadPerson("u1", "ana@example.com", {"given_name": "Ana"})


def _known(*changes: Any, hours: int = 1, **more: Any) -> KnownPerson:
    facts = UserFacts()
    for number, change in enumerate(changes):
        stamp = Stamp(to_micros(AT - timedelta(hours=hours)) + number, 0, f"e{number}")
        facts = record(facts, change, stamp=stamp, feed="fed", scope=policy().scope)
    return KnownPerson(facts, **{"is_governed": True, **more})


ANA = ProvisionUser("u1", "Ana@Example.com", {"given_name": "Ana", "title": "Dr"})


def _compared(
    known: KnownPerson, *, rule: Policy | None = None, in_scope: bool = True, **read: Any
) -> Difference | None:
    one = replace(READ, **read)
    return compare_person(one, AT, known, policy=rule or policy(), is_in_scope=in_scope)


def test_the_same_in_other_case_and_with_less_told_is_no_difference() -> None:
    assert _compared(_known(ANA)) is None


@pytest.mark.parametrize(
    ("read", "fields"),
    [
        ({"email": "eva@example.com"}, ("address",)),
        ({"attributes": {"given_name": "Eva"}}, ("attributes",)),
        ({"is_active": False}, ("active",)),
        ({"kind": "guest"}, ("kind",)),
        ({"email": ""}, ()),
    ],
)
def test_each_field_is_told(read: dict[str, Any], fields: tuple[str, ...]) -> None:
    found = _compared(_known(ANA), **read)
    assert (found.fields if found is not None else ()) == fields
    assert found is None or found.what is What.DIFFERING


def test_who_would_not_be_let_in_is_not_missing() -> None:
    assert _compared(NOBODY) is not None
    assert _compared(NOBODY, is_active=False) is None
    assert _compared(NOBODY, kind="guest") is None
    assert _compared(NOBODY, in_scope=False) is None


@pytest.mark.parametrize(
    ("known", "read", "why"),
    [
        (NOBODY, {"email": ""}, Wait.NO_ADDRESS),
        (KnownPerson(is_deleted=True), {}, Wait.DELETED),
        (_known(ANA, hours=-1), {"email": "eva@example.com"}, Wait.NEWER),
        (_known(SuspendUser("u1"), hours=-1, is_governed=False), {}, Wait.NEWER),
    ],
)
def test_what_is_left_to_another_run_says_why(
    known: KnownPerson, read: dict[str, Any], why: Wait
) -> None:
    found = _compared(known, **read)
    assert found is not None
    assert (found.what, found.why) == (What.WAITING, why.value)


def test_u8_who_is_out_is_let_in_by_a_read_unless_scim_speaks_here() -> None:
    out = _known(ANA, SuspendUser("u1"), is_suspended=True)
    found = _compared(out)
    assert found is not None
    assert (found.what, found.fields) == (What.DIFFERING, ("active",))
    waits = _compared(out, rule=policy(mirrors=True))
    assert waits is not None
    assert waits.why == Wait.SCIM.value


def test_e9_the_address_is_what_the_connections_rule_says() -> None:
    rule = policy(address="attributes.work_email")
    read: dict[str, Any] = {"attributes": {"work_email": "work@example.com"}}
    missing = _compared(NOBODY, rule=rule, **read)
    assert missing is not None
    assert missing.told["email"] == "ana@example.com", (
        "as the IdP says it: the rule is applied later"
    )
    none = _compared(NOBODY, rule=rule)
    assert none is not None
    assert none.why == Wait.NO_ADDRESS.value


def test_only_who_is_in_and_governed_can_be_extra() -> None:
    assert compare_absent_person("u1", AT, _known(ANA)) is not None
    assert compare_absent_person("u1", AT, _known(ANA, is_governed=False)) is None
    assert compare_absent_person("u1", AT, _known(ANA, is_suspended=True)) is None
    newer = compare_absent_person("u1", AT, _known(ANA, hours=-1))
    assert newer is not None
    assert newer.why == Wait.NEWER.value


def test_s1_g3_a_group_that_is_not_kept_or_barred_is_nobodys_difference() -> None:
    read = ReadGroup("g1", "Sales")
    assert compare_group(read, AT, None, policy=policy()) is not None
    kept = policy(group_rule=GroupRule.PREFIX, group_keys=("Eng",))
    assert compare_group(read, AT, None, policy=kept) is None
    barred = Group("con", "g1", barred="holds manage_all_groups")
    assert compare_group(read, AT, barred, policy=policy()) is None
