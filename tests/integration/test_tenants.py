"""Two accounts with the same ids: neither sees, moves or proves anything of the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from typer.main import get_command

from tests.harness import Feed, Rosterd
from tests.tenants import MARK, leaves, lived_in
from worker.adapters.db import rows
from worker.cli.main import build_cli

#: Waits for something or adds something: walked by test_tenant_commands.
NOT_WALKED = {"event tail", "connection add", "user add", "token add", "dead replay", "group add"}


@pytest.fixture
def two(rosterd: Rosterd) -> tuple[Feed, Feed, str, str]:
    alpha = lived_in(rosterd, "alpha", MARK)
    first = rosterd.account_id
    beta = lived_in(rosterd, "beta", "betaonly")
    return alpha, beta, first, rosterd.account_id


def listings() -> list[str]:
    """Commands that list and can be asked for one account."""
    found = []
    for words, command in leaves(get_command(build_cli())):
        options = {name for param in command.params for name in param.opts}
        needs = [p for p in command.params if p.required and "--account" not in p.opts]
        if "--account" in options and not needs and words not in NOT_WALKED:
            found.append(words)
    return found


def test_the_walk_finds_the_commands_that_list() -> None:
    assert {"event list", "dead list", "user list", "connection list"} <= set(listings())


def test_no_listing_of_one_account_shows_the_other(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    for words in listings():
        second = rosterd.cli(*words.split(), "--account", "beta")
        assert second.returncode in {0, 3}, second.stderr
        for hidden in (MARK, two[0].id, two[0].connection, two[2]):
            assert hidden not in second.stdout + second.stderr, words


def test_exports_and_what_is_named_by_another_accounts_words(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    assert MARK not in str(rosterd.export(two[3]))
    for words in (
        ("domain", "list", "beta"),
        ("account", "show", "beta"),
        ("connection", "show", "beta-feed"),
        ("feed", "list", "beta-feed"),
    ):
        done = rosterd.cli(*words)
        assert done.returncode == 0, done.stderr
        for hidden in (MARK, two[0].id, two[0].connection, two[2]):
            assert hidden not in done.stdout


def test_nothing_that_one_account_is_told_moves_the_other(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    alpha, beta, first, _ = two
    before = rosterd.export(first)
    for type_, data in (
        ("user.suspended", {"id": "u1"}),
        ("user.deleted", {"id": "u2"}),
        ("user.upserted", {"id": "u3", "email": f"u1.{MARK}@example.com"}),
        ("user.email_changed", {"id": "u1", "email": f"u2.{MARK}@example.com"}),
        ("group.members_replaced", {"group_id": "g1", "user_ids": []}),
        ("group.deleted", {"id": "g1"}),
        ("user.suspended", {"id": "u1", "account_id": first, "connection_id": alpha.connection}),
    ):
        assert rosterd.tell(beta, type_, data) == 200
    with rosterd.setup() as use:
        use.forbid_domain(two[3], "example.com")
        use.set_connection_state(use.connection("beta-feed"), "paused", reason="x")
    rosterd.drain()
    assert rosterd.export(first) == before


def test_a_secret_proves_for_its_own_feed_only(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    alpha, beta, first, _ = two
    before = rosterd.export(first)
    forged = replace(beta, id=alpha.id)
    assert rosterd.tell(forged, "user.suspended", {"id": "u1"}) == 401
    captured = rosterd.request(beta, "user.suspended", {"id": "u1"})
    assert rosterd.post(replace(captured, url=alpha.path)) == 401, "sent on to another feed"
    assert rosterd.export(first) == before


def test_a_replay_of_one_account_moves_no_letter_of_the_other(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    first = two[2]

    def letters() -> list[dict[str, Any]]:
        return rosterd.table(rows.dead_letters, rows.dead_letters.c.account_id == first)

    before = letters()
    assert len(before) == 1
    done = rosterd.cli("dead", "replay", "--account", "beta", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert MARK not in done.stdout
    assert letters() == before


def test_a_members_link_shows_and_moves_only_its_own_person(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    before = rosterd.export(two[2])
    shown = rosterd.http.get(rosterd.link("u1.betaonly@example.com"))
    assert shown.status_code == 200
    assert MARK not in shown.text
    assert rosterd.accept("u1.betaonly@example.com") == 200
    assert rosterd.export(two[2]) == before


def test_every_row_of_the_directory_belongs_to_one_account(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    """Memberships and subjects join only inside their connection, whatever the ids say."""
    with rosterd.parts.database.read() as connection:
        people = connection.execute(select(rows.people.c.id, rows.people.c.account_id)).all()
        users = connection.execute(select(rows.users.c.account_id, rows.users.c.connection_id))
        owners = {two[0].connection: two[2], two[1].connection: two[3]}
        assert all(owners[row.connection_id] == row.account_id for row in users)
    assert {row.account_id for row in people} == {two[2], two[3]}


def test_a_token_of_one_account_opens_nothing_that_tells_of_all(
    rosterd: Rosterd, two: tuple[Feed, Feed, str, str]
) -> None:
    with rosterd.setup() as use:
        token = use.add_token(two[3], name="beta", scopes=["metrics"], expires_at=None)
    bearer = {"Authorization": f"Bearer {token}"}
    assert rosterd.http.get("/metrics", headers=bearer).status_code == 401
    refused = rosterd.cli("token", "add", "m", "--scope", "metrics", "--account", "beta")
    assert refused.returncode == 2
    assert "tells of all accounts" in refused.stderr
