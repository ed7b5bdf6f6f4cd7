"""What holds for every command: exit codes, `--json` of listings, completion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.main import get_command

from tests.harness import Rosterd
from tests.tenants import leaves
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
