"""Okta's directory, read from a server that behaves, and misbehaves, as Okta does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from domain.directories import Directory, DirectoryError
from domain.directory_access import DirectoryAccess
from domain.errors import UsageError
from domain.outbound import parse_allowed
from domain.ports import Request
from tests.fakes.idp import Fault
from tests.fakes.okta import FakeOkta
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.sources.okta import OktaSource


@pytest.fixture
def okta() -> Iterator[FakeOkta]:
    with FakeOkta().serving() as fake:
        yield fake


@pytest.fixture
def http() -> Iterator[OutboundHTTP]:
    client = OutboundHTTP(parse_allowed("127.0.0.1"))
    yield client
    client.close()


@pytest.fixture
def directory(okta: FakeOkta, http: OutboundHTTP) -> Directory:
    return directory_for(DirectoryAccess("okta", okta.url, {}, okta.token), http, seconds=0.5)


def _key(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _all(read: object) -> list[object]:
    items: list[object] = []
    after = None
    while True:
        page = read(after)  # type: ignore[operator]
        items += page.items
        after = page.after
        if after is None:
            return items


def test_a_person_is_who_okta_says_they_are(okta: FakeOkta, directory: Directory) -> None:
    okta.user("00u1", login="ana.s", email="ana@example.com", firstName="Ana", displayName="Ana S")
    read = directory.person("00u1")
    assert read.found is not None
    assert read.found.email == "ana@example.com"
    assert read.found.attributes == {
        "given_name": "Ana",
        "display_name": "Ana S",
        "username": "ana.s",
    }
    assert read.found.is_active
    changed = read.found.changed_at
    assert changed is not None
    assert abs(changed - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("status", "is_active"),
    [
        ("ACTIVE", True),
        ("PROVISIONED", True),
        ("RECOVERY", True),
        ("PASSWORD_EXPIRED", True),
        ("LOCKED_OUT", True),
        ("STAGED", False),
        ("SUSPENDED", False),
        ("DEPROVISIONED", False),
    ],
)
def test_whom_okta_keeps_out_is_out(
    okta: FakeOkta, directory: Directory, status: str, is_active: bool
) -> None:
    okta.user("00u1", status=status)
    read = directory.person("00u1")
    assert read.found is not None
    assert read.found.is_active is is_active


def test_it_was_true_a_second_before_oktas_own_date(okta: FakeOkta, directory: Directory) -> None:
    okta.shift = 7200
    okta.user("00u1")
    told = directory.person("00u1").at - datetime.now(UTC)
    assert timedelta(seconds=7190) < told <= timedelta(seconds=7199)


def test_without_a_date_it_was_true_when_we_asked(okta: FakeOkta, directory: Directory) -> None:
    okta.has_date = False
    okta.user("00u1")
    began = datetime.now(UTC)
    assert abs(directory.person("00u1").at - began) < timedelta(seconds=30)


def test_who_is_not_there_is_an_answer(okta: FakeOkta, directory: Directory) -> None:
    assert directory.person("00u9").found is None
    assert directory.group("00g9").found is None


@pytest.mark.parametrize("key", ["ana@example.com", "../users", "..", "", "00u1/groups"])
def test_nobody_has_left_for_being_known_by_what_is_no_id(
    okta: FakeOkta, directory: Directory, key: str
) -> None:
    """Okta takes a login where an id belongs; another feed may know people by theirs."""
    okta.user("00u1", login="ana@example.com")
    for ask in (directory.person, directory.group):
        with pytest.raises(DirectoryError, match="no id of Okta's") as raised:
            ask(key)
        assert raised.value.needs_operator
    assert okta.paths() == []


def test_nor_for_a_login_that_looks_like_an_id(okta: FakeOkta, directory: Directory) -> None:
    okta.user("00u1", login="ana", email="ana@example.com")
    with pytest.raises(DirectoryError, match="'ana' is no id of Okta's"):
        directory.person("ana")
    assert okta.paths() == ["/api/v1/users/ana"], "it was asked, and answered with somebody else"


def test_lists_are_read_to_their_last_page(okta: FakeOkta, directory: Directory) -> None:
    for number in range(450):
        okta.user(f"00u{number:03}")
    okta.user("00ugone", status="DEPROVISIONED")
    okta.group("00g1", "Engineering", *(f"00u{number:03}" for number in range(201)))
    people = _all(directory.people)
    assert [one.key for one in people] == [f"00u{number:03}" for number in range(450)]  # type: ignore[attr-defined]
    assert okta.paths().count("/api/v1/users") == 3
    assert len(_all(lambda after: directory.members("00g1", after))) == 201
    assert [one.name for one in _all(directory.groups)] == ["Engineering"]  # type: ignore[attr-defined]


def test_members_of_no_group_are_no_empty_list(directory: Directory) -> None:
    with pytest.raises(DirectoryError):
        directory.members("00g9")


def test_a_page_of_another_host_is_not_followed(okta: FakeOkta, directory: Directory) -> None:
    """Only the cursor of a link counts: whoever answers cannot lead us elsewhere."""
    for number in range(201):
        okta.user(f"00u{number:03}")
    page = directory.people()
    assert page.after == "00u199"
    assert "://" not in page.after


@pytest.mark.parametrize(
    "fault",
    [
        Fault.ERROR,
        Fault.UNAVAILABLE,
        Fault.GARBAGE,
        Fault.HALF,
        Fault.HTML,
        Fault.REDIRECT,
        Fault.PROXY_MISSING,
        Fault.LIMITED,
        Fault.HANG,
    ],
)
def test_what_is_no_answer_is_never_an_empty_one(
    okta: FakeOkta, directory: Directory, fault: Fault
) -> None:
    okta.user("00u1")
    okta.fault = fault
    for ask in (lambda: directory.person("00u1"), directory.people, lambda: directory.log("")):
        with pytest.raises(DirectoryError) as raised:
            ask()
        assert okta.token not in str(raised.value)
    okta.fault = None
    assert directory.person("00u1").found is not None


def test_it_says_how_long_to_leave_it_alone(okta: FakeOkta, directory: Directory) -> None:
    """By its own clock, which may be another than ours."""
    okta.shift, okta.limit, okta.window_seconds = -500, 1, 40
    okta.user("00u1")
    directory.person("00u1")
    with pytest.raises(DirectoryError) as raised:
        directory.person("00u1")
    asked = raised.value.retry_after
    assert asked is not None
    assert timedelta(seconds=35) < asked <= timedelta(seconds=42)
    assert not raised.value.needs_operator


def test_retry_after_counts_too(okta: FakeOkta, directory: Directory) -> None:
    okta.fault = Fault.UNAVAILABLE
    with pytest.raises(DirectoryError) as raised:
        directory.people()
    assert raised.value.retry_after == timedelta(seconds=7)


def test_credentials_that_it_does_not_take_need_somebody(
    okta: FakeOkta, directory: Directory
) -> None:
    okta.user("00u1")
    okta.may_read = False
    with pytest.raises(DirectoryError, match="403") as forbidden:
        directory.person("00u1")
    okta.token = "another"
    with pytest.raises(DirectoryError, match="401") as unproven:
        directory.person("00u1")
    assert forbidden.value.needs_operator
    assert unproven.value.needs_operator


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_service_app_signs_and_keeps_its_token(
    okta: FakeOkta, http: OutboundHTTP, kind: str
) -> None:
    private = (
        rsa.generate_private_key(65537, 2048)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    okta.clients["0oa1"] = private.public_key()
    okta.user("00u1")
    access = DirectoryAccess("okta", okta.url, {"client_id": "0oa1"}, _key(private))
    directory = directory_for(access, http)
    for _ in range(3):
        assert directory.person("00u1").found is not None
    assert okta.paths().count("/oauth2/v1/token") == 1
    okta.expire()
    assert directory.person("00u1").found is not None, "fetched anew, and asked again"
    assert okta.paths().count("/oauth2/v1/token") == 2


def test_a_token_near_its_end_is_fetched_anew(okta: FakeOkta, http: OutboundHTTP) -> None:
    private = rsa.generate_private_key(65537, 2048)
    okta.clients["0oa1"] = private.public_key()
    okta.token_seconds = 0
    okta.user("00u1")
    access = DirectoryAccess("okta", okta.url, {"client_id": "0oa1"}, _key(private))
    with pytest.raises(DirectoryError, match="401"):
        directory_for(access, http).person("00u1")
    assert okta.paths().count("/oauth2/v1/token") == 2, "once more, and not for ever"


def test_a_key_that_it_does_not_know_needs_somebody(okta: FakeOkta, http: OutboundHTTP) -> None:
    private = rsa.generate_private_key(65537, 2048)
    okta.clients["0oa1"] = rsa.generate_private_key(65537, 2048).public_key()
    access = DirectoryAccess("okta", okta.url, {"client_id": "0oa1"}, _key(private))
    with pytest.raises(DirectoryError, match="invalid_client") as raised:
        directory_for(access, http).people()
    assert raised.value.needs_operator
    assert "PRIVATE" not in str(raised.value)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.ERROR, Fault.GARBAGE, Fault.HTML, Fault.HALF])
def test_a_token_endpoint_that_fails_is_tried_again(
    okta: FakeOkta, http: OutboundHTTP, fault: Fault
) -> None:
    private = rsa.generate_private_key(65537, 2048)
    okta.clients["0oa1"] = private.public_key()
    okta.user("00u1")
    access = DirectoryAccess("okta", okta.url, {"client_id": "0oa1"}, _key(private))
    directory = directory_for(access, http, seconds=0.5)
    okta.faults.append(fault)
    with pytest.raises(DirectoryError) as raised:
        directory.person("00u1")
    assert not raised.value.needs_operator
    assert directory.person("00u1").found is not None


@pytest.mark.parametrize(
    ("details", "secret"),
    [
        ({"client_id": "0oa1"}, "00token"),
        ({}, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
        ({"client_id": "0oa1"}, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
        ({"client_id": "0oa1"}, '{"kty": "oct", "k": "c2VjcmV0"}'),
        ({"realm": "x"}, "00token"),
        ({}, "  "),
    ],
)
def test_what_makes_no_client_is_said_at_once(
    http: OutboundHTTP, details: dict[str, str], secret: str
) -> None:
    with pytest.raises(UsageError) as raised:
        directory_for(DirectoryAccess("okta", "https://example.okta.com", details, secret), http)
    assert not secret.strip() or secret not in str(raised.value)


def test_an_access_shows_no_secret() -> None:
    assert "00token" not in repr(DirectoryAccess("okta", "https://example.okta.com", {}, "00token"))


def test_the_log_is_read_from_where_it_was_left(okta: FakeOkta, directory: Directory) -> None:
    okta.happened("user.lifecycle.suspend", {"id": "00u1", "type": "User"}, at=okta.now() - 60)
    begun = directory.log("")
    assert begun.bodies == ()
    told = [
        okta.happened("user.lifecycle.suspend", {"id": f"00u{n}", "type": "User"})["uuid"]
        for n in range(120)
    ]
    okta.happened("user.session.start")
    read = directory.log(begun.cursor)
    assert read.is_all
    assert _keys(read.bodies) == told, "what no rule reads was not asked for"
    again = directory.log(read.cursor)
    assert (again.bodies, again.is_all) == ((), True)
    late = okta.happened("group.lifecycle.delete", {"id": "00g1", "type": "UserGroup"})["uuid"]
    assert _keys(directory.log(again.cursor).bodies) == [late]


def _keys(bodies: tuple[bytes, ...]) -> list[str]:
    """The event ids, as the source's own webhook would have given them."""
    source = OktaSource()
    request = Request("POST", {})
    return [event.id for body in bodies for event in source.split(source.read(body), request)]


def test_a_log_of_thousands_comes_in_pages(okta: FakeOkta, directory: Directory) -> None:
    begun = directory.log("")
    for number in range(1003):
        okta.happened("user.lifecycle.suspend", {"id": f"00u{number}", "type": "User"})
    first = directory.log(begun.cursor)
    assert (len(_keys(first.bodies)), first.is_all) == (1000, False)
    second = directory.log(first.cursor)
    assert (len(_keys(second.bodies)), second.is_all) == (3, True)


def test_bodies_are_what_a_hook_may_send(okta: FakeOkta, directory: Directory) -> None:
    begun = directory.log("")
    okta.happened("user.lifecycle.suspend", {"id": "00u1", "type": "User"})
    (body,) = directory.log(begun.cursor).bodies
    assert json.loads(body)["eventType"] == "com.okta.event_hook"
