"""Access to an IdP's directory: told by command line and API, sealed, checked, taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import Client, is_problem
from tests.fakes.idp import Fault
from tests.fakes.okta import FakeOkta
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import accesses

HERE = {"ROSTERD_OUTBOUND_ALLOW": "127.0.0.1", "ROSTERD_DIRECTORY_SECONDS": "1"}


@pytest.fixture
def okta() -> Iterator[FakeOkta]:
    with FakeOkta().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    made = Rosterd(database_url, tmp_path, outbound_allow="127.0.0.1", directory_seconds=1)
    with made.serving():
        yield made
    made.close()


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    return rosterd.account(source="okta", scope="everyone")


def test_it_is_told_by_standard_input_and_shown_without_its_secret(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    okta.user("00u1")
    told = ("connection", "access", "okta", "--url", okta.url, "--secret", "-", "--check")
    done = rosterd.cli(*told, "--json", typed=okta.token + "\n", **HERE)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["url"], shown["kind"], shown["people"]) == (okta.url, "okta", 1)
    again = rosterd.cli("connection", "access", "okta", "--json", **HERE)
    assert json.loads(again.stdout)["id"] == feed.connection
    (row,) = rosterd.table(accesses)
    (audit,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.access")
    for text in (done.stdout, again.stdout, str(row), str(audit)):
        assert okta.token not in text
    directory = rosterd.parts.directory_of(feed.connection)
    assert directory is not None
    assert directory.person("00u1").found is not None


def test_a_secret_does_not_belong_on_a_command_line(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta, tmp_path: Path
) -> None:
    told = ("connection", "access", "okta", "--url", okta.url)
    done = rosterd.cli(*told, "--secret", okta.token, **HERE)
    assert done.returncode == 2
    assert okta.token not in done.stdout + done.stderr
    file = tmp_path / "token"
    file.write_text(okta.token)
    assert rosterd.cli(*told, "--secret-file", str(file), **HERE).returncode == 0


def test_a_check_says_what_is_wrong(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    told = ("connection", "access", "okta", "--url", okta.url, "--secret", "-", "--check")
    done = rosterd.cli(*told, typed="another", **HERE)
    assert done.returncode == 1
    assert "401" in done.stderr
    okta.fault = Fault.HANG
    done = rosterd.cli("connection", "access", "okta", "--check", **HERE)
    assert done.returncode == 1
    assert "no answer within 1 s" in done.stderr


def test_an_address_inside_is_refused(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    told = ("connection", "access", "okta", "--url", okta.url, "--secret", "-")
    done = rosterd.cli(*told, typed=okta.token, ROSTERD_OUTBOUND_ALLOW="")
    assert done.returncode == 2
    assert not rosterd.table(accesses)


def test_without_access_there_is_none(rosterd: Rosterd, feed: Feed) -> None:
    assert rosterd.parts.directory_of(feed.connection) is None
    assert rosterd.cli("connection", "access", "okta", **HERE).returncode == 3


def test_the_api_does_the_same(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    client = Client(rosterd, "operator", account=None)
    path = f"/connections/{feed.connection}/access"
    is_problem(client.ask("GET", path), 404, "not_found")
    asked = {"url": okta.url, "secret": okta.token}
    shown = client.write("PUT", path, asked, X_Reason="x")
    assert shown["connection"] == feed.connection
    assert okta.token not in json.dumps(shown)
    assert client.get(path)["kind"] == "okta"
    okta.user("00u1")
    checked = client.write("POST", f"{path}/check")
    assert (checked["people"], checked["is_all"], checked["total"]) == (1, True, None)
    okta.fault = Fault.ERROR
    is_problem(client.ask("POST", f"{path}/check"), 409, "refused")
    told = client.ask("PUT", path, json={**asked, "kind": "entra"}, headers={"X-Reason": "x"})
    is_problem(told, 422, "invalid")
    client.write("DELETE", path, status=204, X_Reason="x")
    assert rosterd.parts.directory_of(feed.connection) is None


def test_another_secret_makes_another_client(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    okta.user("00u1")
    told = ("connection", "access", "okta", "--url", okta.url, "--secret", "-")
    assert rosterd.cli(*told, typed=okta.token, **HERE).returncode == 0
    first = rosterd.parts.directory_of(feed.connection)
    assert rosterd.parts.directory_of(feed.connection) is first
    okta.token = "00rotated"
    assert rosterd.cli(*told, typed=okta.token, **HERE).returncode == 0
    second = rosterd.parts.directory_of(feed.connection)
    assert second is not None
    assert second.person("00u1").found is not None


def test_it_dies_with_its_connection(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    told = ("connection", "access", "okta", "--url", okta.url, "--secret", "-")
    assert rosterd.cli(*told, typed=okta.token, **HERE).returncode == 0
    assert rosterd.cli("connection", "retire", "okta", "--reason", "x", "--yes").returncode == 0
    assert not rosterd.table(accesses)
    done = rosterd.cli(*told, typed=okta.token, **HERE)
    assert done.returncode == 1
    assert "retired" in done.stderr
