"""F26: the connection to the database is lost while a write commits. It is done, and done once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.harness import Rosterd
from tests.integration.test_again import Wire
from tests.scim import PATCH, Provider, provider
from worker.web.scim import front

TITLE = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": "Cook"}]}


@pytest.fixture
def wired(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Provider, Wire]]:
    """A provider's side of a rosterd whose connections to PostgreSQL can be cut."""
    # Each thread's first request opens a connection, which commits something, too.
    monkeypatch.setattr(front, "THREADS", 1)
    url = make_url(postgres_url)
    with closing(Wire((url.host or "127.0.0.1", url.port or 5432))) as wire:
        through = url.set(host="127.0.0.1", port=wire.port)
        harness = Rosterd(through.render_as_string(hide_password=False), tmp_path)
        with harness.serving():
            idp = provider(harness)
            # The first request notes that the token is used.
            idp.told("DELETE", "/Users/nobody", status=404)
            yield idp, wire
        harness.close()


@pytest.mark.parametrize("external", [None, "u1"])
def test_f26_a_creation_is_answered_201(wired: tuple[Provider, Wire], external: str | None) -> None:
    idp, wire = wired
    more: dict[str, Any] = {} if external is None else {"externalId": external}
    wire.cut(commit=1)
    ana = idp.hire("ana", **more)
    assert wire.was_cut.is_set()
    assert idp.get(ana["id"])["userName"] == "ana@example.com"
    assert [event["outcome"] for event in idp.rosterd.events()] == ["applied"]
    assert len(idp.rosterd.mails()) == 1
    idp.hire("ana", **more, status=409)


def test_f26_a_group_is_made_once(wired: tuple[Provider, Wire]) -> None:
    idp, wire = wired
    ana = idp.hire("ana")
    wire.cut(commit=1)
    crew = idp.group("Crew", ana["id"])
    assert wire.was_cut.is_set()
    assert [one["value"] for one in crew["members"]] == [ana["id"]]
    assert idp.told("GET", "/Groups")["totalResults"] == 1


def test_f26_a_change_of_a_version_is_not_told_to_have_changed(
    wired: tuple[Provider, Wire],
) -> None:
    idp, wire = wired
    ana = idp.hire("ana")
    path, version = f"/Users/{ana['id']}", ana["meta"]["version"]
    wire.cut(commit=1)
    done = idp.ask("PATCH", path, TITLE, If_Match=version)
    assert wire.was_cut.is_set()
    assert (done.status_code, done.json()["title"]) == (200, "Cook")
    assert idp.ask("PATCH", path, TITLE, If_Match=version).status_code == 412
    assert len(idp.rosterd.events()) == 2


def test_f26_who_is_deleted_is_told_to_be(wired: tuple[Provider, Wire]) -> None:
    idp, wire = wired
    ana = idp.hire("ana")
    wire.cut(commit=1)
    idp.told("DELETE", f"/Users/{ana['id']}", status=204)
    assert wire.was_cut.is_set()
    idp.told("DELETE", f"/Users/{ana['id']}", status=404)
    assert [one["state"] for one in idp.rosterd.users()] == ["invited_suspended"]


def test_f26_what_was_refused_is_refused_and_noted_once(wired: tuple[Provider, Wire]) -> None:
    idp, wire = wired
    wire.cut(commit=1)
    idp.hire("ana@other.example", status=400)
    assert wire.was_cut.is_set()
    assert [letter["reason"] for letter in idp.rosterd.dead()] == ["domain_not_allowed"]
