"""Google's channel messages: what proves them, what each asks to be read, and what is dropped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.changes import SuspendUser
from domain.errors import UsageError
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason, lane_of
from domain.intake import FeedView, Submission
from domain.ports import (
    NotAuthenticError,
    Parsed,
    Reply,
    Request,
    SigningSecret,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.sources.google import GoogleSource
from worker.cli.captured import read_request
from worker.services.receive import Refusal, receive

SOURCE = GoogleSource()
NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
SECRET = SigningSecret("k", "a token of the channel")
ANA = {"kind": "admin#directory#user", "id": "101", "primaryEmail": "ana@example.com"}


def message(state: str, user: object = None, number: str = "4") -> Request:
    """A message of a Directory channel."""
    headers = {
        "x-goog-channel-id": "chn_1",
        "x-goog-channel-token": SECRET.value,
        "x-goog-resource-state": state,
        "x-goog-message-number": number,
    }
    return Request("POST", headers, b"" if user is None else json.dumps(user).encode())


def activity(application: str, *events: tuple[str, dict[str, str]], **more: object) -> Any:
    """As a Reports channel sends one."""
    told = [
        {"name": name, "parameters": [{"name": k, "value": v} for k, v in parameters.items()]}
        for name, parameters in events
    ]
    id_ = {
        "time": "2026-03-09T08:30:00.250Z",
        "uniqueQualifier": "-7",
        "applicationName": application,
    }
    return {"kind": "admin#reports#activity", "id": id_, "events": told, **more}


def stored(request: Request) -> tuple[list[SplitEvent], list[Parsed]]:
    """What is stored of a request, and what each event in it asks for."""
    body = SOURCE.content(request)
    document = SOURCE.read(body)
    events = SOURCE.split(document, Request("POST", {}, body))
    return events, [SOURCE.parse(document, index) for index in range(len(events))]


def told(document: Any) -> tuple[list[SplitEvent], list[Parsed]]:
    return stored(Request("POST", {}, json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("state", "kind", "parsed"),
    [
        ("add", Kind.USERS_CREATE, Wanted(What.PERSON, "101")),
        ("update", Kind.HYDRATE, Wanted(What.PERSON, "101")),
        ("undelete", Kind.USERS_REACTIVATE, Wanted(What.PERSON, "101")),
        ("delete", Kind.USERS_SUSPEND, (SuspendUser("101"),)),
        ("makeAdmin", Kind.SORT, Reason.NO_DIRECTORY_CHANGE),
        ("exploded", Kind.SORT, Reason.UNKNOWN_TYPE),
    ],
)
def test_a_message_says_in_its_headers_what_happened(state: str, kind: Kind, parsed: Any) -> None:
    (split,), (found,) = stored(message(state, ANA))
    assert (split.id, split.type, split.kind, split.subject, split.occurred_at) == (
        "chn_1 4",
        f"users.{state}",
        kind,
        "101",
        None,
    )
    if isinstance(parsed, Wanted):
        assert (found.wants, found.ignored) == (parsed, Reason.NO_DIRECTORY_CHANGE)
    elif isinstance(parsed, Reason):
        assert (found.wants, found.ignored) == (None, parsed)
    else:
        assert (found.wants, found.changes) == (None, parsed), "U8: at once, and nothing is read"


def test_an_update_may_be_a_suspension_and_is_read_before_all_others() -> None:
    (split,), _ = stored(message("update", ANA))
    assert lane_of(split.kind) == "urgent"


def test_the_same_number_of_another_channel_is_another_event() -> None:
    first, second = message("update", ANA), message("update", ANA)
    other = Request("POST", {**second.headers, "x-goog-channel-id": "chn_2"}, second.body)
    assert stored(first)[0][0].id == stored(second)[0][0].id
    assert stored(first)[0][0].id != stored(other)[0][0].id


def test_the_first_message_of_a_channel_is_answered_and_stored_as_nothing() -> None:
    feed = FeedView("fed_1", "con_1", "acc_1", "google", is_held=False, secrets=(SECRET,))
    assert receive(feed, SOURCE, message("sync", number="1"), now=NOW) == Reply(200)
    forged = message("sync", number="1")
    stranger = Request("POST", {**forged.headers, "x-goog-channel-token": "guessed"})
    assert isinstance(receive(feed, SOURCE, stranger, now=NOW), Refusal)
    taken = receive(feed, SOURCE, message("delete", ANA), now=NOW)
    assert isinstance(taken, Submission)
    assert SECRET.value.encode() not in taken.body + taken.headers


@pytest.mark.parametrize("token", ["", "another", "a token of the channel "])
def test_the_token_alone_proves(token: str) -> None:
    good = message("update", ANA)
    assert SOURCE.verify(good, [SigningSecret("old", "x"), SECRET], NOW) is SECRET
    with pytest.raises(NotAuthenticError):
        SOURCE.verify(
            Request("POST", {**good.headers, "x-goog-channel-token": token}, good.body),
            [SigningSecret("none", ""), SECRET],
            NOW,
        )


@pytest.mark.parametrize("secret", ["x" * 257, "über", "two\nlines"])
def test_a_secret_that_no_channel_can_bear_is_refused(secret: str) -> None:
    with pytest.raises(UsageError, match="256"):
        SOURCE.credential(secret, {})


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null"])
def test_a_message_without_its_user_is_kept_and_not_understood(body: bytes) -> None:
    request = Request("POST", message("update").headers, body)
    with pytest.raises(UnparseableError):
        stored(request)


ANA_AT = {"USER_EMAIL": "Ana@Example.com"}
PERSON, TEAM = Wanted(What.PERSON_AT, "ana@example.com"), Wanted(What.GROUP_AT, "team@example.com")
PAIR = Wanted.member("team@example.com", "ana@example.com", by_address=True)
EDGE = {"group_id": "team@example.com", "member_id": "ana@example.com", "member_type": "user"}
GROUP_AT = {"GROUP_EMAIL": "team@example.com"}


@pytest.mark.parametrize(
    ("type_", "parameters", "wants", "urgent"),
    [
        ("admin.CREATE_USER", ANA_AT, PERSON, False),
        ("admin.UNSUSPEND_USER", ANA_AT, PERSON, False),
        ("admin.SUSPEND_USER", ANA_AT, PERSON, True),
        ("admin.ARCHIVE_USER", ANA_AT, PERSON, True),
        ("admin.DELETE_USER", ANA_AT, PERSON, True),
        (
            "admin.RENAME_USER",
            {"USER_EMAIL": "old@example.com", "NEW_VALUE": "ana@example.com"},
            PERSON,
            False,
        ),
        ("admin.CREATE_GROUP", GROUP_AT, TEAM, False),
        ("admin.DELETE_GROUP", GROUP_AT, TEAM, True),
        ("admin.ADD_GROUP_MEMBER", {**GROUP_AT, **ANA_AT}, PAIR, False),
        ("admin.REMOVE_GROUP_MEMBER", {**GROUP_AT, **ANA_AT}, PAIR, True),
        ("groups_enterprise.create_group", EDGE, TEAM, False),
        ("groups_enterprise.change_info_setting", EDGE, TEAM, False),
        ("groups_enterprise.delete_group", EDGE, TEAM, True),
        ("groups_enterprise.add_member", EDGE, PAIR, False),
        ("groups_enterprise.remove_member", EDGE, PAIR, True),
        ("groups_enterprise.ban_member_with_moderation", EDGE, PAIR, True),
    ],
)
def test_an_activity_names_by_address_whom_to_read(
    type_: str, parameters: dict[str, str], wants: Wanted, urgent: bool
) -> None:
    application, _, name = type_.partition(".")
    (split,), (parsed,) = told(activity(application, (name, parameters)))
    assert (split.type, split.id) == (type_, f"{application} 2026-03-09T08:30:00.250Z -7 0")
    assert split.occurred_at == datetime(2026, 3, 9, 8, 30, 0, 250_000, tzinfo=UTC)
    assert parsed.wants == wants
    assert (lane_of(split.kind) == "urgent") is urgent
    assert split.subject in {"ana@example.com", "team@example.com"}


def test_who_joins_by_themselves_is_who_did_it() -> None:
    actor = {"email": "ana@example.com"}
    document = activity("groups_enterprise", ("join", {"group_id": "team@example.com"}))
    assert told({**document, "actor": actor})[1][0].wants == PAIR
    with pytest.raises(UnparseableError, match=r"actor\.email"):
        told(document)


def test_u8_who_is_suspended_or_deleted_is_out_where_nothing_can_be_read() -> None:
    for name in ("SUSPEND_USER", "DELETE_USER", "ARCHIVE_USER"):
        (parsed,) = told(activity("admin", (name, ANA_AT)))[1]
        assert (parsed.changes, parsed.whose) == ((SuspendUser(""),), "ana@example.com")
    for name in ("CREATE_USER", "UNSUSPEND_USER"):
        (parsed,) = told(activity("admin", (name, ANA_AT)))[1]
        assert parsed.ignored is Reason.NO_DIRECTORY_CHANGE, "an address alone lets nobody in"


def test_one_removal_is_told_twice_and_is_one_event() -> None:
    document = activity("groups_enterprise", ("remove_user", EDGE), ("remove_member", EDGE))
    (split,), (parsed,) = told(document)
    assert (split.type, parsed.wants) == ("groups_enterprise.remove_user", PAIR)
    two = activity(
        "groups_enterprise",
        ("remove_member", EDGE),
        ("remove_member", {**EDGE, "member_id": "bo@example.com"}),
    )
    assert [one.id[-1] for one in told(two)[0]] == ["0", "1"]


@pytest.mark.parametrize("type_", ["group", "GROUP", "service account"])
def test_members_that_are_no_people_change_nothing(type_: str) -> None:
    (parsed,) = told(activity("groups_enterprise", ("add_member", {**EDGE, "member_type": type_})))[
        1
    ]
    assert parsed == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    assert parsed.wants is None


def test_the_application_is_looked_at_before_the_name() -> None:
    """A calendar activity has the same names, and what looks like a group."""
    document = activity("calendar", ("add_member", EDGE), ("add_user", EDGE))
    (split,), (parsed,) = told(document)
    assert (split.kind, parsed.ignored, parsed.wants) == (Kind.SORT, Reason.UNKNOWN_TYPE, None)


@pytest.mark.parametrize("missing", ["time", "uniqueQualifier"])
def test_what_bears_no_key_is_not_split(missing: str) -> None:
    document = activity("admin", ("CREATE_USER", ANA_AT))
    del document["id"][missing]
    with pytest.raises(UnparseableError, match=missing):
        told(document)


def test_a_bad_event_spoils_none_beside_it() -> None:
    document = activity("admin", ("CREATE_USER", {}), ("CREATE_USER", ANA_AT))
    events = SOURCE.split(document, Request("POST", {}))
    assert len(events) == 2
    with pytest.raises(UnparseableError, match="USER_EMAIL"):
        SOURCE.parse(document, 0)
    assert SOURCE.parse(document, 1).wants == PERSON


#: What each recorded request asks to be read, or why nothing is.
VERDICTS: dict[str, Wanted | Reason | tuple[SuspendUser, ...]] = {
    "directory-user-delete": (SuspendUser("111220860655841818702"),),
    "reports-admin-CREATE_USER": Wanted(What.PERSON_AT, "liz@example.com"),
    "reports-admin-DELETE_USER": Wanted(What.PERSON_AT, "janedoe@example.com"),
    "reports-admin-SUSPEND_USER": Wanted(What.PERSON_AT, "jdoe@example.net"),
    "reports-calendar-add_user-not-a-directory-change": Reason.UNKNOWN_TYPE,
    "reports-groups_enterprise-delete_group": Wanted(What.GROUP_AT, "testgroup@test.com"),
    "reports-groups_enterprise-remove_member": Wanted.member(
        "team@example.com", "john.doe@example.com", by_address=True
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_recorded_message(payloads: Path, name: str) -> None:
    request = read_request(payloads / f"google/{name}.json")
    assert SOURCE.handshake(request) is None
    (split,), (parsed,) = stored(request)
    verdict = VERDICTS[name]
    assert split.id
    if isinstance(verdict, Wanted):
        assert parsed.wants == verdict
    elif isinstance(verdict, Reason):
        assert parsed == Parsed(ignored=verdict)
    else:
        assert (split.id, parsed) == ("deleteChannel 236440", Parsed(verdict))


def test_recorded_sync_is_nothing(payloads: Path) -> None:
    request = read_request(payloads / "google/directory-sync.headers.txt")
    secret = SigningSecret("k", request.headers["x-goog-channel-token"])
    assert SOURCE.verify(request, [secret], NOW) is secret
    assert SOURCE.handshake(request) == Reply(200)


def test_no_recorded_body_is_without_a_verdict(payloads: Path) -> None:
    assert {it.stem for it in (payloads / "google").glob("*.json")} == set(VERDICTS)
    alone = {it.name for it in (payloads / "google").glob("*.headers.txt")}
    beside = {f"{name}.headers.txt" for name in VERDICTS}
    assert alone - beside == {"directory-sync.headers.txt"}
