"""What holds for every command: exit codes, `--json` of listings, completion."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.main import get_command

from tests.harness import Rosterd
from tests.tenants import leaves
from worker.adapters.db import rows
from worker.cli.main import build_cli

#: Last words of commands that list or show.
LISTING = {"list", "show", "groups", "overrides", "alerts", "status", "tail", "check", "doctor"}


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_every_listing_has_json() -> None:
    commands = dict(leaves(get_command(build_cli())))
    listing = {words for words in commands if words.split()[-1] in LISTING}
    assert len(listing) > 25
    assert {words for words in listing if "--json" not in options(commands[words])} == set()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("account list", 0),
        ("connection resume standard --reason x", 0),
        ("connection go-live standard --reason x", 1),
        ("domain check acme a@nowhere.example", 1),
        ("event list --state odd", 2),
        ("event list --nothing", 2),
        ("account show nobody", 3),
        ("event show 99", 3),
    ],
)
def test_the_exit_code_tells_what_happened(rosterd: Rosterd, line: str, code: int) -> None:
    rosterd.account()
    done = rosterd.cli(*line.split())
    assert done.returncode == code, done.stdout + done.stderr


def test_a_database_out_of_reach_is_4(rosterd: Rosterd) -> None:
    away = {"ROSTERD_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none"}
    done = rosterd.cli("account", "list", **away)
    assert done.returncode == 4, done.stderr


def test_event_list_takes_every_filter_of_the_api(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
    for words, wanted in (
        (("--email", "u1@example.com"), ["u1"]),
        (("--source", "standard", "--limit", "1"), ["u2"]),
        (("--source", "okta"), []),
        (("--outcome", "applied", "--subject", "u2"), ["u2"]),
    ):
        told = json.loads(rosterd.cli("event", "list", "--json", *words).stdout)
        assert [event["subject"] for event in told] == wanted, words
    listed = json.loads(rosterd.cli("audit", "list", "--account", "acme", "--json").stdout)
    assert "connection.add" in {entry["action"] for entry in listed}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(rosterd: Rosterd, shell: str) -> None:
    done = rosterd.cli("completion", shell)
    assert done.returncode == 0
    assert "_ROSTERD_COMPLETE" in done.stdout


def test_an_export_keeps_the_blanks_of_a_name(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    named = {"id": "u1", "email": "u1@example.com", "display_name": "Silva, Ana: the first"}
    rosterd.tell(feed, "user.upserted", named)
    (line,) = rosterd.cli("directory", "export", "--account", "acme").stdout.splitlines()
    assert json.loads(line)["display_name"] == "Silva, Ana: the first"
    assert '"kind":"user"' in line


def test_whoever_sits_there_is_asked_though_the_output_goes_through_a_pipe(
    rosterd: Rosterd,
) -> None:
    """`rosterd user delete .. | tee log` deleted without a question."""
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    (ana,) = rosterd.table(rows.people)
    words = ("user", "delete", ana["id"], "--reason", "asked for")
    done = rosterd.answering("n", *words)
    assert done.returncode == 1
    assert "nothing brings them back" in done.stderr
    assert rosterd.table(rows.people) == [ana]
    assert rosterd.answering("y", *words).returncode == 0
    assert rosterd.table(rows.people) == []


def test_a_script_is_not_asked(rosterd: Rosterd) -> None:
    rosterd.account()
    assert rosterd.cli("domain", "forbid", "acme", "example.com").returncode == 0


def _reasons() -> dict[str, bool]:
    """By command, whether it needs a reason."""
    commands = dict(leaves(get_command(build_cli())))
    return {
        words: parameter.required
        for words, command in commands.items()
        for parameter in command.params
        if "--reason" in parameter.opts
    }


@pytest.mark.parametrize("words", sorted(w for w, is_needed in _reasons().items() if is_needed))
def test_where_a_reason_is_needed_a_blank_is_none(words: str) -> None:
    command = dict(leaves(get_command(build_cli())))[words]
    (reason,) = [one for one in command.params if "--reason" in one.opts]
    assert reason.callback(None, reason, "it is mine") == "it is mine"
    with pytest.raises(typer.BadParameter, match="say why"):
        reason.callback(None, reason, " ")
