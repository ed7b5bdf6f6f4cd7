"""PingOne's and OneLogin's directories, read from servers that behave, and fail, as they do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.directories import Directory, DirectoryError
from domain.directory_access import DirectoryAccess
from domain.errors import UsageError
from domain.outbound import parse_allowed
from domain.ports import Request
from tests.fakes.idp import Asked, Fault
from tests.fakes.onelogin import FakeOnelogin
from tests.fakes.pingone import FakePingone
from tests.hydrating import access_to
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.sources.registry import SOURCES

Fake = FakePingone | FakeOnelogin


@pytest.fixture
def http() -> Iterator[OutboundHTTP]:
    client = OutboundHTTP(parse_allowed("127.0.0.1"))
    yield client
    client.close()


@pytest.fixture
def pingone() -> Iterator[FakePingone]:
    with FakePingone().serving() as fake:
        yield fake


@pytest.fixture
def onelogin() -> Iterator[FakeOnelogin]:
    with FakeOnelogin().serving() as fake:
        yield fake


@pytest.fixture(params=["pingone", "onelogin"])
def fake(request: pytest.FixtureRequest) -> Fake:
    found: Fake = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def directory(fake: Fake, http: OutboundHTTP) -> Directory:
    return directory_for(access_to(fake), http, seconds=0.5)


def hire(fake: Fake, number: int, **more: Any) -> str:
    """Somebody at either; their key."""
    if isinstance(fake, FakePingone):
        fake.user(f"u{number}", **more)
        return f"u{number}"
    fake.user(number, **more)
    return str(number)


def crew(fake: Fake, *numbers: int) -> str:
    """A group of these at either; its key."""
    if isinstance(fake, FakePingone):
        fake.group("g7", "Crew", *(f"u{number}" for number in numbers))
        return "g7"
    fake.role(7, "Crew", *numbers)
    return "7"


def everything(read: Any) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = read(after)
        items += page.items
        after = page.after
        if after is None:
            return items


def test_pingone_tells_who_somebody_is(pingone: FakePingone, http: OutboundHTTP) -> None:
    name = {"given": "Ana", "family": "Silva", "formatted": "Ana Silva"}
    pingone.user("u1", username="ana", email="ana@example.com", name=name)
    found = directory_for(access_to(pingone), http).person("u1").found
    assert found is not None
    assert (found.key, found.email, found.is_active) == ("u1", "ana@example.com", True)
    told = {"given_name": "Ana", "family_name": "Silva", "display_name": "Ana Silva"}
    assert found.attributes == told | {"username": "ana"}
    assert found.changed_at is not None
    assert abs(found.changed_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_pingone_who_is_disabled_is_out(pingone: FakePingone, http: OutboundHTTP) -> None:
    pingone.user("u1", enabled=False)
    pingone.user("u2", account={"status": "LOCKED", "canAuthenticate": False})
    directory = directory_for(access_to(pingone), http)
    assert [one.is_active for one in directory.people().items] == [False, True]


@pytest.mark.parametrize(
    ("told", "is_active"),
    [
        ({"status": 1}, True),
        ({"status": 0}, False),
        ({"status": 2}, False),
        *(({"status": status}, True) for status in (4, 5, 7, 8)),
        ({"status": 3, "locked_until": "2026-03-09T08:30:00.000Z"}, True),
        ({"status": 3, "locked_until": None}, False),
        *(({"status": 1, "state": state}, state == 1) for state in (0, 1, 2, 3)),
    ],
)
def test_whom_onelogin_keeps_out_is_out(
    onelogin: FakeOnelogin, http: OutboundHTTP, told: dict[str, Any], is_active: bool
) -> None:
    onelogin.user(1, firstname="Ana", lastname="Silva", username="ana", **told)
    found = directory_for(access_to(onelogin), http).person("1").found
    assert found is not None
    assert found.is_active is is_active
    assert found.email == "u1@example.com"
    assert found.attributes == {"given_name": "Ana", "family_name": "Silva", "username": "ana"}


def test_who_is_not_there_is_an_answer(fake: Fake, directory: Directory) -> None:
    assert directory.person("99").found is None
    assert directory.group("99").found is None


@pytest.mark.parametrize("key", ["ana@example.com", "../users", "..", "", "1/groups", "1?x"])
def test_nobody_has_left_for_being_known_by_what_is_no_id(
    fake: Fake, directory: Directory, key: str
) -> None:
    for ask in (directory.person, directory.group):
        with pytest.raises(DirectoryError, match="is no id of"):
            ask(key)
    assert fake.paths() == []


def test_pingone_a_wrong_environment_is_nobodys_absence(
    pingone: FakePingone, http: OutboundHTTP
) -> None:
    """It answers in the same words: whoever believed it would suspend everybody."""
    pingone.user("u1")
    access = access_to(pingone)
    wrong = {**access.details, "environment": "another", "client_environment": pingone.environment}
    elsewhere = directory_for(DirectoryAccess("pingone", access.url, wrong, access.secret), http)
    for ask in (lambda: elsewhere.person("u1"), elsewhere.people, lambda: elsewhere.log("")):
        with pytest.raises(DirectoryError, match="environment") as raised:
            ask()
        assert raised.value.needs_operator


def test_lists_are_read_to_their_last_page(fake: Fake, directory: Directory) -> None:
    keys = [hire(fake, number) for number in range(1, 122)]
    if isinstance(fake, FakePingone):
        fake.page = 50
    group = crew(fake, *range(1, 61))
    assert [one.key for one in everything(directory.people)] == keys
    assert everything(lambda after: directory.members(group, after)) == keys[:60]
    assert [one.name for one in everything(directory.groups)] == ["Crew"]
    lists = [one for one in fake.asked if one.path.endswith("users") and "filter" not in one.query]
    assert len([one for one in lists if "roles" not in one.path]) == 3


def test_only_the_cursor_of_a_link_is_taken(pingone: FakePingone, http: OutboundHTTP) -> None:
    """The fake's links lead to another host."""
    pingone.page = 1
    pingone.user("u1")
    pingone.user("u2")
    directory = directory_for(access_to(pingone), http)
    assert directory.people().after == "c-1"
    assert len(everything(directory.people)) == 2


def test_members_of_no_group_are_no_empty_list(fake: Fake, directory: Directory) -> None:
    assert directory.members(crew(fake)).items == ()
    for group in ("99", "", "x/y"):
        with pytest.raises(DirectoryError):
            directory.members(group)


def test_one_membership_is_asked_for_by_itself(fake: Fake, directory: Directory) -> None:
    for number in range(1, 4):
        hire(fake, number)
    group = crew(fake, 1, 2)
    mine, other = (hire(fake, number) for number in (1, 3))
    for user, is_member in ((mine, True), (other, False)):
        found = directory.membership(group, user).found
        assert found is not None
        assert (found.group.name, found.user, found.is_member) == ("Crew", user, is_member)
    gone = directory.membership(group, "99").found
    assert gone is not None
    assert (gone.user, gone.is_member) == ("", False)
    assert directory.membership("98", mine).found is None, "there is no such group"
    with pytest.raises(DirectoryError, match="is no id of"):
        directory.membership(group, "../users")
    lists = [one for one in fake.asked if one.query.get("limit", "1") != "1"]
    assert not lists, "no list was read for it"


FAULTS = [fault for fault in Fault if fault is not Fault.LIMITED]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_answer_is_never_an_empty_one(
    fake: Fake, directory: Directory, fault: Fault
) -> None:
    key = hire(fake, 1)
    assert directory.person(key).found is not None
    fake.fault = fault
    for ask in (lambda: directory.person(key), directory.people, lambda: directory.log("")):
        with pytest.raises(DirectoryError) as raised:
            ask()
        assert fake.secret not in str(raised.value)
    fake.fault = None
    assert directory.person(key).found is not None


def test_over_the_limit_it_is_left_alone(fake: Fake, directory: Directory) -> None:
    key = hire(fake, 1)
    directory.person(key)
    fake.limit, fake.window_seconds = 1, 40
    directory.person(key)
    with pytest.raises(DirectoryError, match="fewer requests") as raised:
        directory.person(key)
    assert not raised.value.needs_operator


def test_a_token_that_was_taken_back_is_fetched_anew_once(fake: Fake, directory: Directory) -> None:
    key = hire(fake, 1)
    for _ in range(3):
        assert directory.person(key).found is not None
    assert _tokens(fake) == 1
    fake.expire()
    assert directory.person(key).found is not None
    assert _tokens(fake) == 2


def test_credentials_that_are_not_taken_need_somebody(fake: Fake, http: OutboundHTTP) -> None:
    key = hire(fake, 1)
    access = access_to(fake)
    wrong = DirectoryAccess(access.kind, access.url, access.details, "another")
    with pytest.raises(DirectoryError, match="invalid_client") as unproven:
        directory_for(wrong, http).person(key)
    fake.may_read = False
    with pytest.raises(DirectoryError, match="403") as forbidden:
        directory_for(access, http).person(key)
    assert unproven.value.needs_operator
    assert forbidden.value.needs_operator


def test_what_makes_no_client_is_said_at_once(http: OutboundHTTP) -> None:
    for kind, details in (
        ("pingone", {"client_id": "c"}),
        ("pingone", {"environment": "e"}),
        ("onelogin", {}),
        ("onelogin", {"client_id": "c", "environment": "e"}),
    ):
        with pytest.raises(UsageError):
            directory_for(DirectoryAccess(kind, "https://idp.example.com", details, "s"), http)


def test_the_log_tells_what_hooks_did_not_bring(fake: Fake, directory: Directory) -> None:
    fake.shift = -300
    hire(fake, 1)
    fake.shift = -20
    begun = directory.log("")
    assert (begun.bodies, begun.is_all) == ((), True)
    fake.shift = -10
    told = [_left(fake, number) for number in range(1, 121)]
    fake.shift = 0
    found, cursor, looks = _read_on(fake, directory, begun.cursor)
    assert sorted(found) == sorted(told)
    assert looks > 1
    again, cursor, _ = _read_on(fake, directory, cursor)
    assert set(again) <= set(told), "what is known is known by its id"
    fake.shift = -1
    late = _left(fake, 5)
    fake.shift = 0
    assert late in _read_on(fake, directory, cursor)[0]


def _read_on(fake: Fake, directory: Directory, cursor: str) -> tuple[list[str], str, int]:
    """Ids of all that there is, where to go on, and how often it was asked."""
    found, is_all, looks = [], False, 0
    while not is_all:
        read = directory.log(cursor)
        cursor, is_all, looks = read.cursor, read.is_all, looks + 1
        found += _keys(fake, read.bodies)
    return found, cursor, looks


def _left(fake: Fake, number: int) -> str:
    """Somebody is deleted; the id of it in the log."""
    if isinstance(fake, FakePingone):
        return str(fake.happened("USER.DELETED", user=f"u{number}")["id"])
    fake.happened(17, number)
    return f"log-{fake.events[-1]['id']}"


def _keys(fake: Fake, bodies: tuple[bytes, ...]) -> list[str]:
    """The event ids, as the source's own webhook would have given them."""
    source = SOURCES["pingone" if isinstance(fake, FakePingone) else "onelogin"]
    found = []
    for body in bodies:
        for event in source.split(source.read(body), Request("POST", {})):
            assert event.occurred_at is not None
            found.append(event.id)
    return found


def _tokens(fake: Fake) -> int:
    return len([path for path in fake.paths() if path.endswith("/token")])


def test_the_fakes_bite(pingone: FakePingone, onelogin: FakeOnelogin) -> None:
    """They refuse what the vendors refuse: a client that asked wrongly would not pass above."""

    def status(fake: Fake, path: str, query: dict[str, str], token: str = "t") -> int:
        asked = Asked("GET", path, query, {"authorization": f"Bearer {token}"})
        return fake.answer(asked).status

    pingone._tokens["t"] = onelogin._tokens["t"] = pingone.now() + 60
    base = f"/v1/environments/{pingone.environment}"
    assert status(pingone, f"{base}/activities", {}) == 400, "a span of time is needed"
    two = 'recordedat gt "1" AND recordedat lt "2" AND action.type eq "USER.CREATED"'
    assert status(pingone, f"{base}/activities", {"filter": two}) == 400
    assert status(pingone, f"{base}/users", {"cursor": "7"}) == 400, "a cursor of its own"
    assert status(pingone, "/v1/environments/another/users", {}) == 404
    assert status(pingone, f"{base}/users", {}, "x") == status(onelogin, "/api/2/users", {}, "x")
    assert status(onelogin, "/api/2/users", {"limit": "51"}) == 400
    assert status(onelogin, "/api/2/users/ana", {}) == 404
    pingone.shift = onelogin.shift = 61
    assert status(pingone, f"{base}/users", {}) == status(onelogin, "/api/2/users", {}) == 401
    for fake, path in (
        (pingone, f"/{pingone.environment}/as/token"),
        (onelogin, "/auth/oauth2/v2/token"),
    ):
        form = Asked("POST", path, {}, {}, b"grant_type=client_credentials")
        assert fake.answer(form).status in {400, 401}, "a client that shows no secret"
