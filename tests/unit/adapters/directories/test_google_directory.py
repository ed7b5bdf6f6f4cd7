"""Google's directory, read from a server that behaves, and misbehaves, as Google's does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from domain.directories import (
    Directory,
    DirectoryError,
    Page,
    ReadGroup,
    ReadMembership,
    UnaskableError,
)
from domain.directory_access import DirectoryAccess
from domain.errors import UsageError
from domain.outbound import parse_allowed
from domain.ports import Request
from tests.fakes.google import FakeGoogle
from tests.fakes.idp import Fault
from worker.adapters.directories.google import LATE
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.sources.google import GoogleSource

USERS, GROUPS = "/admin/directory/v1/users", "/admin/directory/v1/groups"


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle().serving() as fake:
        yield fake


@pytest.fixture
def http() -> Iterator[OutboundHTTP]:
    client = OutboundHTTP(parse_allowed("127.0.0.1"))
    yield client
    client.close()


@pytest.fixture
def directory(google: FakeGoogle, http: OutboundHTTP) -> Directory:
    return directory_for(access(google), http, seconds=2)


def access(google: FakeGoogle, secret: str = "", **more: str) -> DirectoryAccess:
    details = {"subject": google.subject, **more}
    return DirectoryAccess("google", google.url, details, secret or google.key_file)


def _all(read: Callable[[str | None], Page[Any]]) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = read(after)
        items += page.items
        after = page.after
        if after is None:
            return items


def _round(directory: Directory, cursor: str) -> tuple[list[dict[str, Any]], str]:
    """One look at the log, to its end."""
    bodies: list[dict[str, Any]] = []
    while True:
        logged = directory.log(cursor)
        bodies += map(json.loads, logged.bodies)
        cursor = logged.cursor
        if logged.is_all:
            return bodies, cursor


def test_a_person_is_who_google_says_they_are(google: FakeGoogle, directory: Directory) -> None:
    name = {"givenName": "Ana", "familyName": "Silva", "fullName": "Ana Silva"}
    google.user("101", primaryEmail="ana@example.com", name=name, aliases=["a@example.com"])
    read = directory.person("101")
    assert read.found is not None
    assert (read.found.key, read.found.email) == ("101", "ana@example.com")
    assert read.found.attributes == {
        "given_name": "Ana",
        "family_name": "Silva",
        "display_name": "Ana Silva",
    }
    assert read.found.is_active
    for address in ("ana@example.com", "a@example.com"):
        assert directory.person(address).found == read.found, "an address leads to the same id"


@pytest.mark.parametrize(
    "changes", [{"suspended": True}, {"archived": True}, {"deletionTime": "2026-03-09T08:30:00Z"}]
)
def test_whom_google_keeps_out_is_out(
    google: FakeGoogle, directory: Directory, changes: Mapping[str, Any]
) -> None:
    google.user("101", **changes)
    read = directory.person("101")
    assert read.found is not None
    assert not read.found.is_active


def test_who_is_not_there_is_an_answer(google: FakeGoogle, directory: Directory) -> None:
    google.user("101")
    google.delete("101")
    assert directory.person("101").found is None
    assert directory.person("u101@example.com").found is None
    assert directory.group("g9").found is None


@pytest.mark.parametrize("key", ["", "..", "a/b", "a b@example.com", "ana@"])
def test_nobody_has_left_for_being_known_by_what_is_no_id(
    google: FakeGoogle, directory: Directory, key: str
) -> None:
    for ask in (directory.person, directory.group):
        with pytest.raises(UnaskableError, match="no id of Google's"):
            ask(key)
    assert google.paths() == []


def test_lists_are_read_to_their_last_page(google: FakeGoogle, directory: Directory) -> None:
    for number in range(1010):
        google.users[str(number)] = {"id": str(number), "primaryEmail": f"u{number}@example.com"}
    google.group("g1", "team@example.com", "Team")
    google.members["g1"] = {str(number): "USER" for number in range(450)} | {"g2": "GROUP"}
    assert len(_all(directory.people)) == 1010
    assert google.paths().count(USERS) == 3
    assert _all(directory.groups) == [ReadGroup("g1", "Team")]
    assert len(_all(lambda after: directory.members("g1", after))) == 450, "people only"
    assert len(set(google.paths())) == 4, "and one for the token"


def test_an_empty_list_has_no_items_and_is_no_error(directory: Directory) -> None:
    assert _all(directory.people) == _all(directory.groups) == []


@pytest.mark.parametrize("by", [("g1", "101"), ("team@example.com", "u101@example.com")])
def test_a_membership_is_one_question_whatever_the_size_of_the_group(
    google: FakeGoogle, directory: Directory, by: tuple[str, str]
) -> None:
    google.user("101")
    google.group("g1", "team@example.com", "Team")
    google.members["g1"] = {str(number): "USER" for number in range(1000, 6000)}
    team = ReadGroup("g1", "Team")
    assert directory.membership(*by).found == ReadMembership(team, "101", is_member=False)
    google.join("g1", "101")
    assert directory.membership(*by).found == ReadMembership(team, "101", is_member=True)
    assert not [one for one in google.paths() if one.endswith("/members")]
    google.delete_group("g1")
    assert directory.membership(*by).found is None


def test_who_is_of_another_customer_is_nobody_here(
    google: FakeGoogle, directory: Directory
) -> None:
    google.group("g1", "team@example.com", "Team")
    read = directory.membership("team@example.com", "x@elsewhere.org")
    assert read.found == ReadMembership(ReadGroup("g1", "Team"), "", is_member=False)
    google.join("g1", "g2", "GROUP")
    nested = directory.membership("team@example.com", "g2")
    assert nested.found == ReadMembership(ReadGroup("g1", "Team"), "", is_member=False)


def test_a_quota_is_a_quota_and_a_missing_privilege_is_for_an_operator(
    google: FakeGoogle, directory: Directory
) -> None:
    google.user("101")
    directory.person("101")
    google.limit = 0
    with pytest.raises(DirectoryError, match="quotaExceeded") as raised:
        directory.person("101")
    assert not raised.value.needs_operator
    google.limit = None
    google.may_read = False
    with pytest.raises(DirectoryError, match="forbidden") as raised:
        directory.person("101")
    assert raised.value.needs_operator


def test_a_token_is_kept_until_it_ends_and_fetched_anew_when_taken_back(
    google: FakeGoogle, directory: Directory
) -> None:
    google.user("101")
    for _ in range(3):
        directory.person("101")
    assert google.paths().count("/token") == 1
    google.expire()
    directory.person("101")
    assert google.paths().count("/token") == 2


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("subject", "unauthorized_client"),
        ("scope", "unauthorized_client"),
        ("key", "invalid_grant"),
    ],
)
def test_whoever_is_not_delegated_reads_nothing(
    google: FakeGoogle, http: OutboundHTTP, wrong: str, why: str
) -> None:
    told = access(google)
    if wrong == "subject":
        told = access(google, subject="somebody@example.com")
    elif wrong == "scope":
        google.granted.pop()
    else:
        google.email = "another@project.iam.gserviceaccount.com"
    with pytest.raises(DirectoryError, match=why) as raised:
        directory_for(told, http).person("101")
    assert raised.value.needs_operator
    assert google.paths() == ["/token"]


@pytest.mark.parametrize("secret", ["x", "{}", '{"client_email": "a", "private_key": "b"}', "[1]"])
def test_a_secret_that_is_no_key_file_is_refused_and_not_repeated(
    google: FakeGoogle, http: OutboundHTTP, secret: str
) -> None:
    with pytest.raises(UsageError, match="service account") as raised:
        directory_for(access(google, secret), http)
    assert secret not in str(raised.value) or secret == "x"
    with pytest.raises(UsageError, match=r"subject=\.\."):
        directory_for(DirectoryAccess("google", google.url, {}, google.key_file), http)


@pytest.mark.parametrize(
    "fault",
    [Fault.ERROR, Fault.GARBAGE, Fault.HALF, Fault.HTML, Fault.REDIRECT, Fault.PROXY_MISSING],
)
def test_what_is_no_answer_is_none(google: FakeGoogle, directory: Directory, fault: Fault) -> None:
    google.user("101")
    google.group("g1", "team@example.com", "Team")
    directory.person("101")
    google.fault = fault
    for ask in (
        lambda: directory.person("101"),
        lambda: directory.membership("g1", "101"),
        directory.people,
        lambda: directory.log('{"since": "2026-03-09T08:30:00+00:00"}'),
    ):
        with pytest.raises(DirectoryError):
            ask()


def test_the_log_tells_what_its_channels_would_have_told(
    google: FakeGoogle, directory: Directory
) -> None:
    google.user("100")
    google.shift += 60
    begun = directory.log("")
    assert (begun.bodies, begun.is_all) == ((), True)
    google.shift += 10
    google.user("101")
    google.group("g1", "team@example.com", "Team")
    google.join("g1", "101")
    google.happened("admin", "CHANGE_APPLICATION_SETTING", NAME="x")
    bodies, cursor = _round(directory, begun.cursor)
    names = [one["events"][0]["name"] for one in bodies]
    assert names == ["CREATE_USER", "add_member", "create_group"], "each application's newest first"
    source = GoogleSource()
    for body in bodies:
        document = source.read(json.dumps(body).encode())
        (split,) = source.split(document, Request("POST", {}))
        assert source.parse(document, 0).wants is not None
        assert split.occurred_at is not None
    google.shift += 5
    again, _ = _round(directory, cursor)
    assert {json.dumps(one) for one in bodies} <= {json.dumps(one) for one in again}, "read anew"


def test_what_is_told_late_is_found(google: FakeGoogle, directory: Directory) -> None:
    _, cursor = _round(directory, directory.log("").cursor)
    google.late = 3600
    google.user("101")
    google.shift += 5
    bodies, cursor = _round(directory, cursor)
    assert bodies == []
    google.shift += google.late + 60
    assert google.late < LATE / timedelta(seconds=1)
    bodies, _ = _round(directory, cursor)
    assert [one["events"][0]["name"] for one in bodies] == ["CREATE_USER"]


def test_a_long_log_is_read_page_by_page_and_begun_anew_when_a_page_is_forgotten(
    google: FakeGoogle, directory: Directory
) -> None:
    cursor = directory.log("").cursor
    for number in range(1200):
        google.happened("admin", "CREATE_USER", USER_EMAIL=f"u{number}@example.com")
    first = directory.log(cursor)
    assert (len(first.bodies), first.is_all) == (1000, False)
    google._pages.clear()
    forgotten = directory.log(first.cursor)
    assert (forgotten.bodies, forgotten.is_all) == ((), False)
    bodies, _ = _round(directory, forgotten.cursor)
    assert len(bodies) == 1200
