"""Keycloak's directory, read from a server that behaves, and misbehaves, as Keycloak does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from domain.directories import Directory, DirectoryError, Page, UnaskableError
from domain.directory_access import DirectoryAccess
from domain.errors import UsageError
from domain.outbound import parse_allowed
from domain.ports import Request
from tests.fakes.idp import Fault
from tests.fakes.keycloak import REALM, FakeKeycloak
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.sources.keycloak import KeycloakSource


@pytest.fixture
def keycloak() -> Iterator[FakeKeycloak]:
    with FakeKeycloak().serving() as fake:
        yield fake


@pytest.fixture
def http() -> Iterator[OutboundHTTP]:
    client = OutboundHTTP(parse_allowed("127.0.0.1"))
    yield client
    client.close()


@pytest.fixture
def directory(keycloak: FakeKeycloak, http: OutboundHTTP) -> Directory:
    return directory_for(_access(keycloak), http, seconds=0.5)


def _access(keycloak: FakeKeycloak, **more: str) -> DirectoryAccess:
    details = {"realm": REALM, "client_id": keycloak.client, **more}
    return DirectoryAccess("keycloak", keycloak.url, details, keycloak.secret)


def _all(read: Callable[[str | None], Page[Any]]) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = read(after)
        items += page.items
        after = page.after
        if after is None:
            return items


def test_a_person_is_who_keycloak_says_they_are(
    keycloak: FakeKeycloak, directory: Directory
) -> None:
    keycloak.user("u1", firstName="Ana", email="ana@example.com", enabled=False)
    found = directory.person("u1").found
    assert found is not None
    assert (found.email, found.is_active, found.changed_at) == ("ana@example.com", False, None)
    assert found.attributes == {"given_name": "Ana", "username": "u1"}


def test_who_is_not_there_is_an_answer_and_a_wrong_realm_is_none(
    keycloak: FakeKeycloak, directory: Directory, http: OutboundHTTP
) -> None:
    assert directory.person("u9").found is None
    assert directory.group("g9").found is None
    keycloak.fault = Fault.PROXY_MISSING
    with pytest.raises(DirectoryError):
        directory.person("u9")


def test_a_federated_user_has_an_odd_id(keycloak: FakeKeycloak, directory: Directory) -> None:
    keycloak.user("f:0a1b:ana/silva", email="ana@example.com")
    assert directory.person("f:0a1b:ana/silva").found is not None


@pytest.mark.parametrize("key", ["", ".", "..", "count", "profile"])
def test_what_is_no_id_is_not_asked_for(
    keycloak: FakeKeycloak, directory: Directory, key: str
) -> None:
    with pytest.raises(UnaskableError):
        directory.person(key)
    assert keycloak.paths() == []


def test_lists_are_read_to_their_end_and_counted(
    keycloak: FakeKeycloak, directory: Directory
) -> None:
    for number in range(200):
        keycloak.user(f"u{number:03}")
    keycloak.group("g1", "Staff", *(f"u{number:03}" for number in range(101)))
    first = directory.people()
    assert (len(first.items), first.total, first.after) == (100, 200, "100")
    assert len(_all(directory.people)) == 200
    assert len(_all(lambda after: directory.members("g1", after))) == 101


@pytest.mark.parametrize("is_old", [False, True])
def test_groups_below_groups_are_groups(
    keycloak: FakeKeycloak, directory: Directory, is_old: bool
) -> None:
    keycloak.is_old = is_old
    keycloak.group("g1", "Staff")
    for number in range(120):
        keycloak.group(f"a{number}", f"A{number}", parent="g1")
    keycloak.group("b", "B", parent="a7")
    keycloak.group("g2", "Guests")
    keys = [group.key for group in _all(directory.groups)]
    assert sorted(keys) == sorted(["g1", "g2", "b", *(f"a{number}" for number in range(120))])


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.PROXY_MISSING])
def test_what_is_no_answer_is_never_an_empty_one(
    keycloak: FakeKeycloak, directory: Directory, fault: Fault
) -> None:
    keycloak.user("u1")
    directory.person("u1")
    keycloak.fault = fault
    for ask in (lambda: directory.person("u1"), directory.people, directory.groups):
        with pytest.raises(DirectoryError) as raised:
            ask()
        assert keycloak.secret not in str(raised.value)
    keycloak.fault = None
    assert directory.person("u1").found is not None


def test_its_short_tokens_are_fetched_anew(keycloak: FakeKeycloak, directory: Directory) -> None:
    keycloak.user("u1")
    for _ in range(3):
        directory.person("u1")
    tokens = [path for path in keycloak.paths() if path.endswith("/token")]
    assert len(tokens) == 1
    keycloak.expire()
    assert directory.person("u1").found is not None


def test_credentials_that_it_does_not_take_need_somebody(
    keycloak: FakeKeycloak, directory: Directory
) -> None:
    keycloak.secret = "another"
    with pytest.raises(DirectoryError, match="unauthorized_client") as raised:
        directory.people()
    assert raised.value.needs_operator


def test_it_needs_a_realm_and_a_client(http: OutboundHTTP) -> None:
    access = DirectoryAccess("keycloak", "https://sso.example.com", {"realm": "x"}, "s")
    with pytest.raises(UsageError, match="client_id"):
        directory_for(access, http)


def test_the_log_is_read_from_where_it_was_left(
    keycloak: FakeKeycloak, directory: Directory
) -> None:
    keycloak.happened("UPDATE", "USER", "users/u0")
    keycloak.shift += 60
    begun = directory.log("")
    keycloak.shift += 60
    for number in range(130):
        keycloak.happened("DELETE", "USER", f"users/u{number}")
    first = directory.log(begun.cursor)
    assert (len(first.bodies), first.is_all) == (100, False)
    second = directory.log(first.cursor)
    assert (len(second.bodies), second.is_all) == (30, True)
    told = _keys([*first.bodies, *second.bodies])
    assert len(set(told)) == 130
    keycloak.shift += 60
    late = keycloak.happened("DELETE", "USER", "users/late")
    read = directory.log(second.cursor)
    bodies = list(read.bodies)
    while not read.is_all:
        read = directory.log(read.cursor)
        bodies += read.bodies
    assert set(_keys(bodies)) - set(told) == set(_keys([_body(late, bodies)]))


def test_a_version_whose_log_cannot_be_followed_says_so(
    keycloak: FakeKeycloak, directory: Directory
) -> None:
    keycloak.is_old = True
    keycloak.happened("UPDATE", "USER", "users/u0")
    keycloak.shift += 60
    begun = directory.log("")
    with pytest.raises(DirectoryError, match="direction") as raised:
        directory.log(begun.cursor)
    assert raised.value.needs_operator


def _keys(bodies: list[bytes] | tuple[bytes, ...]) -> list[str]:
    """The event ids, as the source's own webhook would have given them."""
    source = KeycloakSource()
    return [e.id for body in bodies for e in source.split(source.read(body), Request("POST", {}))]


def _body(event: dict[str, Any], bodies: list[bytes]) -> bytes:
    return next(b for b in bodies if json.loads(b)["resourcePath"] == event["resourcePath"])
