"""Entra ID, read from a server that behaves, and misbehaves, as Microsoft Graph does."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from domain.directories import Directory, DirectoryError, Page, UnaskableError
from domain.directory_access import DirectoryAccess
from domain.errors import UsageError
from domain.inbox import Kind
from domain.outbound import parse_allowed
from domain.ports import Request
from tests.fakes.graph import TENANT, FakeGraph
from tests.fakes.idp import Fault
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.sources.entra import EntraSource

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    with FakeGraph().serving() as fake:
        yield fake


@pytest.fixture
def http() -> Iterator[OutboundHTTP]:
    client = OutboundHTTP(parse_allowed("127.0.0.1"))
    yield client
    client.close()


def access_to(graph: FakeGraph, secret: str = "", **more: str) -> DirectoryAccess:
    details = {"tenant": TENANT, "client_id": graph.client, "login": graph.url, **more}
    return DirectoryAccess("entra", graph.url, details, secret or graph.secret)


@pytest.fixture
def directory(graph: FakeGraph, http: OutboundHTTP) -> Directory:
    return directory_for(access_to(graph), http, seconds=0.5)


def _all(read: Callable[[str | None], Page[Any]]) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = read(after)
        items += page.items
        after = page.after
        if after is None:
            return items


def test_a_person_is_who_graph_says_they_are(graph: FakeGraph, directory: Directory) -> None:
    key = graph.user(givenName="Ana", surname="Silva", mail="ana@example.com", name="ana.s")
    found = directory.person(key).found
    assert found is not None
    assert (found.email, found.is_active, found.kind) == ("ana@example.com", True, "member")
    assert found.attributes == {
        "given_name": "Ana",
        "family_name": "Silva",
        "display_name": "ana.s",
        "username": "ana.s@example.com",
    }


def test_without_a_mailbox_the_name_is_the_address(graph: FakeGraph, directory: Directory) -> None:
    key = graph.user(name="ben")
    found = directory.person(key).found
    assert found is not None
    assert found.email == "ben@example.com"


def test_who_is_disabled_is_out_and_a_guest_is_told(graph: FakeGraph, directory: Directory) -> None:
    out, guest = graph.user(accountEnabled=False), graph.user(userType="Guest")
    found = [directory.person(key).found for key in (out, guest)]
    assert [(one.is_active, one.kind) for one in found if one] == [
        (False, "member"),
        (True, "guest"),
    ]


def test_who_is_not_there_is_an_answer(graph: FakeGraph, directory: Directory) -> None:
    key = graph.user()
    graph.remove(key)
    assert directory.person(key).found is None
    assert directory.group(NOBODY).found is None


@pytest.mark.parametrize("key", ["ana@example.com", "../groups", "", "delta", "A" + NOBODY[1:]])
def test_nobody_has_left_for_being_known_by_what_is_no_id(
    graph: FakeGraph, directory: Directory, key: str
) -> None:
    graph.user(userPrincipalName="ana@example.com")
    with pytest.raises(UnaskableError):
        directory.person(key)
    with pytest.raises(UnaskableError):
        directory.group(key)
    assert not [path for path in graph.paths() if "v1.0" in path]


@pytest.mark.parametrize(
    "fault",
    [Fault.PROXY_MISSING, Fault.GARBAGE, Fault.HTML, Fault.HALF, Fault.REDIRECT, Fault.HANG],
)
def test_no_answer_is_never_an_absence(
    graph: FakeGraph, directory: Directory, fault: Fault
) -> None:
    key = graph.user()
    directory.person(key)
    graph.fault = fault
    with pytest.raises(DirectoryError):
        directory.person(key)
    with pytest.raises(DirectoryError):
        directory.people()


def test_it_waits_as_long_as_graph_asks(graph: FakeGraph, directory: Directory) -> None:
    key = graph.user()
    directory.person(key)
    graph.limit, graph.window_seconds = 1, 40
    directory.person(key)
    with pytest.raises(DirectoryError, match="429") as error:
        directory.person(key)
    assert error.value.retry_after is not None
    assert timedelta(seconds=30) < error.value.retry_after <= timedelta(seconds=42)


def test_everybody_is_listed_page_by_page_with_their_number(
    graph: FakeGraph, directory: Directory
) -> None:
    graph.page = 2
    people = {graph.user() for _ in range(5)}
    first = directory.people()
    assert (first.total, len(first.items)) == (5, 2)
    assert {one.key for one in _all(directory.people)} == people
    groups = {graph.group() for _ in range(3)}
    assert {one.key for one in _all(directory.groups)} == groups


def test_members_are_people_only(graph: FakeGraph, directory: Directory) -> None:
    group, inner, ana = graph.group(), graph.group(), graph.user()
    graph.join(group, ana)
    graph.join(group, inner, kind="group")
    graph.join(group, NOBODY, kind="device")
    assert _all(lambda after: directory.members(group, after)) == [ana]
    with pytest.raises(DirectoryError):
        directory.members(NOBODY)


def test_one_membership_is_asked_for_by_itself(graph: FakeGraph, directory: Directory) -> None:
    crew, ana, ben = graph.group(name="Crew"), graph.user(), graph.user()
    graph.join(crew, ana)
    found = [directory.membership(crew, one).found for one in (ana, ben)]
    assert [(one.group.name, one.is_member) for one in found if one] == [
        ("Crew", True),
        ("Crew", False),
    ]
    assert directory.membership(NOBODY, ana).found is None
    with pytest.raises(UnaskableError):
        directory.membership(crew, "ana' or id ne '")


def test_a_link_to_another_host_is_not_followed(
    graph: FakeGraph, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.page = 1
    for _ in range(2):
        graph.user()
    inner = graph.answer

    def elsewhere(asked: Any) -> Any:
        answer = inner(asked)
        if link := (answer.document or {}).get("@odata.nextLink"):
            answer.document["@odata.nextLink"] = f"https://evil.example.com/?{urlsplit(link).query}"
        return answer

    monkeypatch.setattr(graph, "answer", elsewhere)
    assert len(_all(directory.people)) == 2
    assert [path for path in graph.paths() if path == "/v1.0/users"] == ["/v1.0/users"] * 2


def test_a_token_that_was_taken_back_is_fetched_anew(
    graph: FakeGraph, directory: Directory
) -> None:
    key = graph.user()
    directory.person(key)
    graph.expire()
    assert directory.person(key).found is not None
    tokens = [path for path in graph.paths() if path.endswith("/token")]
    assert len(tokens) == 2


def test_a_permission_that_is_missing_needs_an_operator(
    graph: FakeGraph, directory: Directory
) -> None:
    graph.permissions.remove("User.Read.All")
    with pytest.raises(DirectoryError, match="403") as error:
        directory.people()
    assert error.value.needs_operator


def test_a_wrong_secret_needs_an_operator_and_is_not_told(
    graph: FakeGraph, http: OutboundHTTP
) -> None:
    directory = directory_for(access_to(graph, "not-the-secret"), http)
    with pytest.raises(DirectoryError, match="invalid_client") as error:
        directory.people()
    assert error.value.needs_operator
    assert "not-the-secret" not in str(error.value)


def test_a_certificate_proves_by_its_thumbprint(graph: FakeGraph, http: OutboundHTTP) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    mark = urlsafe_b64encode(bytes(range(20))).decode().rstrip("=")
    graph.certificate = (private.public_key(), mark)
    key = graph.user()
    told = bytes(range(20)).hex(":").upper()
    directory = directory_for(access_to(graph, pem, thumbprint=told), http)
    assert directory.person(key).found is not None
    other = directory_for(access_to(graph, pem, thumbprint="00" * 20), http)
    with pytest.raises(DirectoryError, match="invalid_client"):
        other.person(key)
    for wrong in ("", "00", "zz" * 20):
        with pytest.raises(UsageError):
            directory_for(access_to(graph, pem, thumbprint=wrong), http)


def _log(directory: Directory, cursor: str) -> tuple[list[Any], str, list[str]]:
    """Everything that a log tells from here on, as the source reads it."""
    source, found, gaps = EntraSource(), [], []
    while True:
        logged = directory.log(cursor)
        cursor = logged.cursor
        gaps += [logged.gap] if logged.gap else []
        for body in logged.bodies:
            document = source.read(body)
            request = Request("POST", {}, body)
            for index, event in enumerate(source.split(document, request)):
                found.append((event, source.parse(document, index)))
        if logged.is_all:
            return found, cursor, gaps


def test_its_log_begins_now_and_tells_what_notifications_would(
    graph: FakeGraph, directory: Directory
) -> None:
    ana, ben, crew = graph.user(), graph.user(), graph.group()
    found, cursor, _ = _log(directory, "")
    assert found == []
    graph.user(ana, displayName="Ana")
    graph.join(crew, ana)
    graph.join(crew, ben)
    graph.leave(crew, ben)
    graph.remove(ben)
    found, cursor, gaps = _log(directory, cursor)
    kinds = [(event.kind, event.subject) for event, _ in found]
    assert kinds == [
        (Kind.HYDRATE, ana),
        (Kind.USERS_SUSPEND, ben),
        (Kind.HYDRATE, crew),
        (Kind.GROUPS_REMOVE_MEMBERS, crew),
    ]
    told = {(type(c).__name__, c.user) for c in found[3][1].changes}
    assert told == {("AddMember", ana), ("RemoveMember", ben)}
    assert gaps == []
    assert all(event.occurred_at <= datetime.now(UTC) for event, _ in found)
    assert {one for event, parsed in found for one in parsed.tenants} == {TENANT}
    assert _log(directory, cursor)[0] == []


def test_a_long_log_is_read_page_by_page_and_each_change_is_an_event_of_its_own(
    graph: FakeGraph, directory: Directory
) -> None:
    _, cursor, _ = _log(directory, "")
    graph.page = 3
    crew = graph.group()
    people = [graph.user() for _ in range(8)]
    for person in people:
        graph.join(crew, person)
    found, _, _ = _log(directory, cursor)
    assert [event.subject for event, _ in found[:8]] == people
    assert len({event.id for event, _ in found}) == len(found)


def test_a_log_that_was_forgotten_is_read_on_from_now_and_says_so(
    graph: FakeGraph, directory: Directory
) -> None:
    graph.user()
    _, cursor, _ = _log(directory, "")
    graph.user()
    graph.forgets_before = 99
    found, cursor, gaps = _log(directory, cursor)
    assert found == []
    assert [gap.split(":")[0] for gap in gaps] == [
        f"Graph forgot where its changes of {what} were read" for what in ("users", "groups")
    ]
    graph.forgets_before = 0
    late = graph.user()
    assert [event.subject for event, _ in _log(directory, cursor)[0]] == [late]


@pytest.mark.parametrize(
    "details", [{}, {"tenant": TENANT}, {"tenant": TENANT, "client_id": "x", "realm": "y"}]
)
def test_an_access_is_told_whole(http: OutboundHTTP, details: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        directory_for(DirectoryAccess("entra", "https://graph.example", details, "s"), http)
