"""Answers: the document under the truth, and the part of it that was asked for (RFC 7644, 3.9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.schemas import ENTERPRISE, GROUP, STATE, USER
from worker.adapters.scim.showing import projection, shown

Document = dict[str, Any]
LOCATION = "https://scim.example/scim/v2/Users/1"


def show(
    document: Document, attributes: Sequence[str] = (), excluded: Sequence[str] = (), **more: object
) -> Document:
    overlay = {"id": "1", "meta": {"created": "c", "lastModified": "m"}, **more}
    return shown(
        document,
        location=LOCATION,
        version=3,
        overlay=overlay,
        attributes=attributes,
        excluded=excluded,
    )


def test_all_of_it(ana: Document) -> None:
    answer = show(ana)
    assert answer == {
        **ana,
        "schemas": [USER, ENTERPRISE],
        "id": "1",
        "meta": {
            "resourceType": "User",
            "created": "c",
            "lastModified": "m",
            "location": LOCATION,
            "version": 'W/"3"',
        },
    }


def test_the_state_is_shown_to_whom_asks_for_it(ana: Document) -> None:
    """U10."""
    state: Any = {STATE: {"state": "invited", "isManaged": True}}
    assert STATE not in show(ana, **state)["schemas"], "RFC 7643, 3: of what is there"
    assert STATE in show(ana, [STATE], **state)["schemas"]
    assert STATE not in show(ana, **state)
    assert STATE not in show(ana, (), ["title"], **state)
    assert show(ana, [STATE], **state)[STATE] == state[STATE]
    assert show(ana, [f"{STATE}:STATE"], **state)[STATE] == {"state": "invited"}
    always = shown(ana, location=LOCATION, version=1, overlay=state, with_state=True)
    assert always[STATE] == state[STATE]
    ana[STATE] = {"note": "on leave"}
    assert show(ana, **state)[STATE] == {"note": "on leave"}
    assert show(ana, [STATE], **state)[STATE] == {"note": "on leave", **state[STATE]}


def test_the_truth_over_what_was_told(ana: Document) -> None:
    assert show(ana, active=False)["active"] is False
    assert show({"displayName": "G"}, members=[])["schemas"] == [GROUP]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (["userName"], {"userName": "ana@example.com"}),
        (
            ["USERNAME", "name.givenname"],
            {"userName": "ana@example.com", "name": {"givenName": "Ana"}},
        ),
        ([f"{USER}:title"], {"title": "Engineer"}),
        ([f"{ENTERPRISE}:department"], {ENTERPRISE: {"department": "Tools"}}),
        ([ENTERPRISE.upper()], {ENTERPRISE: ...}),
        ([f"{ENTERPRISE}:manager.value"], {ENTERPRISE: {"manager": {"value": "m1"}}}),
        (["emails.type"], {"emails": [{"type": "work"}, {"type": "home"}]}),
        (["emails.type", "emails"], {"emails": ...}),
        (["emails", "emails.type"], {"emails": ...}),
        (["salary", "urn:x:y:z", "name.salary"], {}),
        (["meta.version"], {"meta": {"version": 'W/"3"'}}),
    ],
)
def test_only_these(ana: Document, attributes: list[str], expected: Document) -> None:
    always = {"id": "1", "schemas": [USER, ENTERPRISE]}
    wanted = {name: ana[name] if value is ... else value for name, value in expected.items()}
    assert show(ana, attributes) == {**always, **wanted}


@pytest.mark.parametrize(
    ("excluded", "gone"),
    [
        (["emails", "NAME"], ["emails", "name"]),
        ([ENTERPRISE], [ENTERPRISE]),
        ([f"{ENTERPRISE}:department", f"{ENTERPRISE}:manager"], [ENTERPRISE]),
        (["id", "schemas", "salary"], []),
        (["meta"], ["meta"]),
    ],
)
def test_all_but_these(ana: Document, excluded: list[str], gone: list[str]) -> None:
    whole = show(ana)
    assert show(ana, (), excluded) == {k: v for k, v in whole.items() if k not in gone}


def test_all_but_a_part_of_one(ana: Document) -> None:
    assert show(ana, (), ["emails.value"])["emails"] == [
        {"type": "work", "primary": True},
        {"type": "home"},
    ]
    assert show(ana, (), [f"{ENTERPRISE}:department"])[ENTERPRISE] == {
        "manager": ana[ENTERPRISE]["manager"]
    }


def test_both_are_refused(ana: Document) -> None:
    with pytest.raises(SCIMError) as refused:
        show(ana, ["emails"], ["name"])
    assert (refused.value.status, refused.value.scim_type) == (400, "invalidValue")


def test_whether_members_must_be_read_at_all() -> None:
    def wants(attributes: tuple[str, ...] = (), excluded: tuple[str, ...] = ()) -> bool:
        found = projection("Group", attributes, excluded)
        return found is None or found.wants("members")

    assert wants()
    assert wants(("members.value",))
    assert wants((), ("members.display",))
    assert wants((), ("members.value",))
    assert not wants((), ("members",))
    assert not wants(("displayName",))
