"""WorkOS' directory, read from a server that behaves, and misbehaves, as WorkOS does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from domain.directories import Directory, DirectoryError, Page, UnaskableError
from domain.directory_access import DirectoryAccess
from domain.outbound import parse_allowed
from tests.fakes.idp import Fault
from tests.fakes.workos import FakeWorkos
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP


@pytest.fixture
def workos() -> Iterator[FakeWorkos]:
    with FakeWorkos().serving() as fake:
        yield fake


@pytest.fixture
def http() -> Iterator[OutboundHTTP]:
    client = OutboundHTTP(parse_allowed("127.0.0.1"))
    yield client
    client.close()


@pytest.fixture
def directory(workos: FakeWorkos, http: OutboundHTTP) -> Directory:
    return directory_for(access(workos), http, seconds=0.5)


def access(workos: FakeWorkos, *, key: str = "", of: str = "") -> DirectoryAccess:
    told = {"directory": of or workos.directory}
    return DirectoryAccess("workos", workos.url, told, key or workos.key)


def everything(read: Callable[[str | None], Page[Any]]) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = read(after)
        items += page.items
        after = page.after
        if after is None:
            return items


def test_a_person_and_a_group_are_what_workos_says(
    workos: FakeWorkos, directory: Directory
) -> None:
    workos.user("directory_user_1", email="ana@example.com", first_name="Ana", state="inactive")
    workos.group("directory_group_1", "Staff", "directory_user_1")
    person = directory.person("directory_user_1").found
    assert person is not None
    assert (person.email, person.is_active) == ("ana@example.com", False)
    assert person.attributes["given_name"] == "Ana"
    group = directory.group("directory_group_1").found
    assert group is not None
    assert group.name == "Staff"
    assert everything(lambda after: directory.members(group.key, after)) == ["directory_user_1"]


def test_lists_are_read_to_their_end(workos: FakeWorkos, directory: Directory) -> None:
    for number in range(230):
        workos.user(f"directory_user_{number:03}")
    workos.user("directory_user_x", directory="directory_2")
    found = [person.key for person in everything(directory.people)]
    assert found == [f"directory_user_{number:03}" for number in range(230)]
    assert len(workos.asked) == 3


def test_who_is_not_there_is_an_answer_and_who_is_in_another_directory_is_not_there(
    workos: FakeWorkos, directory: Directory
) -> None:
    workos.user("directory_user_2", directory="directory_2")
    assert directory.person("directory_user_9").found is None
    assert directory.person("directory_user_2").found is None
    assert directory.group("directory_group_9").found is None


def test_a_404_of_somebody_elses_suspends_nobody(workos: FakeWorkos, directory: Directory) -> None:
    """A proxy in front of it speaks of a message, too."""
    workos.fault = Fault.PROXY_MISSING
    with pytest.raises(DirectoryError, match="404"):
        directory.person("directory_user_1")


@pytest.mark.parametrize("key", ["", ".", "ana@example.com", "a/../b", "x" * 101])
def test_what_is_no_id_is_not_asked_for_and_nobody_is_gone_by_it(
    workos: FakeWorkos, directory: Directory, key: str
) -> None:
    with pytest.raises(UnaskableError):
        directory.person(key)
    assert workos.asked == []


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.PROXY_MISSING])
def test_whatever_is_no_answer_is_an_error(
    workos: FakeWorkos, directory: Directory, fault: Fault
) -> None:
    workos.user("directory_user_1")
    workos.fault = fault
    for read in (directory.people, lambda: directory.person("directory_user_1")):
        with pytest.raises(DirectoryError) as failed:
            read()
        assert workos.key not in str(failed.value)


def test_a_revoked_key_needs_an_operator_and_a_limit_says_when(
    workos: FakeWorkos, directory: Directory, http: OutboundHTTP
) -> None:
    with pytest.raises(DirectoryError) as refused:
        directory_for(access(workos, key="sk_other"), http, seconds=0.5).people()
    assert refused.value.needs_operator
    workos.fault = Fault.LIMITED
    with pytest.raises(DirectoryError) as limited:
        directory.people()
    assert (limited.value.retry_after, limited.value.needs_operator) == (
        timedelta(seconds=3),
        False,
    )


def test_its_log_is_read_on_from_where_it_was_left(
    workos: FakeWorkos, directory: Directory
) -> None:
    begun = directory.log("")
    assert begun.bodies == ()
    workos.user("directory_user_1")
    workos.user("directory_user_2", directory="directory_2")
    first = directory.log(begun.cursor)
    assert [json.loads(body)["data"]["id"] for body in first.bodies] == ["directory_user_1"]
    workos.leave("directory_user_1")
    second = directory.log(first.cursor)
    assert [json.loads(body)["event"] for body in second.bodies] == ["dsync.user.deleted"]
    assert directory.log(second.cursor).bodies == ()


def test_the_fake_bites(workos: FakeWorkos, http: OutboundHTTP) -> None:
    def asked(path: str, key: str = workos.key) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{workos.url}{path}"
        return http.send("GET", url, headers=headers, seconds=2, max_bytes=1 << 20).status

    workos.user("directory_user_1")
    whose = f"directory={workos.directory}"
    assert asked(f"/directory_users?{whose}") == 200
    assert asked(f"/directory_users?{whose}", key="sk_other") == 401
    assert asked("/directory_users") == 422, "of which directory?"
    assert asked(f"/directory_users?{whose}&limit=101") == 422
    assert asked(f"/directory_users?{whose}&after=nobody") == 400
    assert asked("/directory_users/nobody") == 404
    assert asked("/events") == 422, "of which types?"
    one = "events[]=dsync.user.created"
    assert asked(f"/events?{one}&after=event_000001&range_start=2026-01-01T00:00:00Z") == 422
    assert asked("/nothing") == 404
