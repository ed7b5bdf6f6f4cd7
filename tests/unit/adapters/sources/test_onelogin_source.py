"""OneLogin's events: arrays and lines, ids as numbers and texts, what may be done at once (U8)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason
from domain.ports import Request, UnparseableError
from worker.adapters.sources.onelogin import OneloginSource
from worker.services.receive import cut_passwords

SOURCE = OneloginSource()
POST = Request("POST", {})


def event(type_: object, **more: Any) -> dict[str, Any]:
    return {
        "create": {"_id": "made"},
        "uuid": "e1",
        "event_timestamp": "2026-03-09 08:30:07 UTC",
        "event_type_id": type_,
        "user_id": 123456,
        "user_name": "Ana Silva",
        **more,
    }


PERSON = Wanted(What.PERSON, "123456")
OUT = (changes.SuspendUser("123456"),)
CASES: list[tuple[Any, ...]] = [
    (13, Kind.USERS_CREATE, (), PERSON),
    *((type_, Kind.HYDRATE, (), PERSON) for type_ in (11, 14, 15, 16)),
    *((type_, Kind.USERS_SUSPEND, OUT, None) for type_ in (17, 551)),
    *((type_, Kind.USERS_SUSPEND, OUT, PERSON) for type_ in (531, 553)),
]


@pytest.mark.parametrize("form", [int, str])
@pytest.mark.parametrize(("type_", "kind", "told", "wants"), CASES)
def test_type_asks_for_its_change(
    form: Any, type_: int, kind: Kind, told: tuple[changes.Change, ...], wants: Wanted | None
) -> None:
    document = [event(form(type_), user_id=form(123456))]
    (split,) = SOURCE.split(document, POST)
    assert (split.id, split.type, split.kind) == ("e1", str(type_), kind)
    assert split.subject == "123456"
    assert split.occurred_at == datetime(2026, 3, 9, 8, 30, 7, tzinfo=UTC)
    parsed = SOURCE.parse(document, 0)
    assert (parsed.changes, parsed.wants) == (told, wants)
    assert bool(told) or parsed.ignored is Reason.NO_DIRECTORY_CHANGE


def test_u8_nobody_is_let_in_and_no_address_changes_by_an_event_alone() -> None:
    lets_in = (changes.ProvisionUser, changes.ReactivateUser, changes.ChangeEmail)
    for type_ in range(1, 700):
        told = SOURCE.parse([event(type_, role_id=7)], 0).changes
        assert not any(isinstance(change, lets_in) for change in told)


def test_a_role_is_a_group() -> None:
    told = SOURCE.parse([event(4, role_id="7", role_name="Crew")], 0)
    assert told.changes == (changes.AddMember("7", "123456"),)
    assert told.wants == Wanted.member("7", "123456")


def test_whatever_names_a_role_and_a_person_is_asked_about() -> None:
    """Which number takes a role away is not told where we read."""
    document = [event(999, role_id=7)]
    (split,) = SOURCE.split(document, POST)
    assert (split.kind, split.subject) == (Kind.HYDRATE, "123456")
    parsed = SOURCE.parse(document, 0)
    assert (parsed.changes, parsed.wants) == ((), Wanted.member("7", "123456"))
    assert SOURCE.parse([event(999, role_id=7, user_id=None)], 0).ignored is Reason.UNKNOWN_TYPE
    assert SOURCE.parse([event(5, role_id=7)], 0).wants is None
    for out in (17, 551):
        parsed = SOURCE.parse([event(out, role_id=7)], 0)
        assert (parsed.changes, parsed.wants) == (OUT, None), "a suspension waits for no reading"


@pytest.mark.parametrize("type_", [5, "6", 1, 2, 3])
def test_logins_change_nothing_and_are_not_read(type_: object) -> None:
    assert SOURCE.split([event(type_)], POST)[0].kind is Kind.SORT
    parsed = SOURCE.parse([event(type_)], 0)
    assert (parsed.ignored, parsed.wants) == (Reason.NO_DIRECTORY_CHANGE, None)


@pytest.mark.parametrize("type_", [8, 72, "x", True, None, 1.5, "", "013", -13, 10**30])
def test_other_types_are_unknown(type_: object) -> None:
    assert SOURCE.parse([event(type_)], 0).ignored is Reason.UNKNOWN_TYPE


@pytest.mark.parametrize("type_", [13, 16, 17, 531, 551, 4])
def test_what_names_nobody_changes_nothing(type_: int) -> None:
    document = [event(type_, user_id=None)]
    assert SOURCE.split(document, POST)[0].subject == ""
    parsed = SOURCE.parse(document, 0)
    assert (parsed.ignored, parsed.wants) == (Reason.NO_DIRECTORY_CHANGE, None)


@pytest.mark.parametrize("user", [0, -1, "", "ana", "1/../2", True, 1.5, [1], 10**30])
def test_who_is_no_number_is_nobody_that_can_be_asked_for(user: object) -> None:
    for type_ in (13, 17, 551):
        with pytest.raises(UnparseableError) as refusal:
            SOURCE.parse([event(type_, user_id=user)], 0)
        assert refusal.value.place == "user_id"


def test_a_document_a_line_is_the_same_events() -> None:
    told = [event(17), event(551, uuid="e2")]
    lines = b"\n".join(map(orjson.dumps, told)) + b"\r\n\n"
    assert SOURCE.read(lines) == told == SOURCE.read(orjson.dumps(told))
    assert SOURCE.read(orjson.dumps(told[0])) == told[0]
    assert [one.id for one in SOURCE.split(told[0], POST)] == ["e1"]
    assert SOURCE.read(SOURCE.opened(lines)[0]) == told, "and once it is stored"


def test_what_is_to_be_cut_is_found_in_lines_too() -> None:
    lines = b"\n".join(orjson.dumps(event(14, password=f"hush{n}")) for n in range(2))
    cut, is_cut = cut_passwords(SOURCE.opened(lines)[0])
    assert is_cut
    assert b"hush" not in cut


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}\n{", b"{\n{\n", b'{"a":1}\n{"a":\xff}', b"[]\n{}"]
)
def test_what_is_neither_is_unparseable_and_kept_as_it_is(body: bytes) -> None:
    with pytest.raises(UnparseableError):
        SOURCE.read(body)
    assert SOURCE.opened(body) == (body, False)


def test_the_key_is_its_id_or_else_its_content() -> None:
    bare = event(17)
    del bare["uuid"]
    assert SOURCE.split([bare], POST)[0].id == "made"
    del bare["create"]
    (first,) = SOURCE.split([bare], POST)
    assert first.id.startswith("sha256:")
    again = SOURCE.split([event(13), bare], POST)[1]
    assert again.id == first.id, "wherever it stands in a batch that comes again"
    del bare["event_timestamp"]
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.split([bare], POST)
    assert refusal.value.place == "[0].uuid", "nothing tells it from the next one like it"


@pytest.mark.parametrize(
    ("told", "second"),
    [
        ("2017-12-05 19:13:06 UTC", 6),
        ("2017-12-05T19:13:06.250Z", 6),
        ("2017-12-05 19:13:06", None),
        ("yesterday UTC", None),
        (None, None),
        (1512501186, None),
    ],
)
def test_its_clock(told: object, second: int | None) -> None:
    (split,) = SOURCE.split([event(17, event_timestamp=told)], POST)
    assert second is (split.occurred_at.second if split.occurred_at else None)
