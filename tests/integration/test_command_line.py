"""What holds for every command: exit codes, `--json` of listings, completion."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.main import get_command

from tests.api import Client
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


LARGE = "9" * 26
SLIPS = [
    (f"replay plan --fingerprint F --since {LARGE}d", 2, "is no time"),
    ("dead list --since 999999999d", 2, "is no time"),
    ("endpoint replay E --since 99999999999d --reason x", 2, "is no time"),
    (f"endpoint replay E --since {LARGE} --reason x", 2, "is no cursor"),
    ("event list --since 0001-01-01T00:00:00+14:00", 2, "is no time"),
    ("audit list --until 9999-12-31T23:59:59-14:00", 2, "is no time"),
    ("user override x active --until 9999999d --reason x", 2, "is no time"),
    (f"event show {LARGE}", 3, f"there is no event '{LARGE}'"),
    ("event show ²", 2, "is no id"),
    (f"event edit-and-replay {LARGE} --patch [] --reason x", 3, f"there is no event '{LARGE}'"),
    (f"dead show {LARGE}", 3, f"there is no dead letter '{LARGE}'"),
    (f"dead show d{LARGE}", 3, f"there is no dead letter 'd{LARGE}'"),
    ("dead show ²", 2, "is no id"),
    ("dead show 1", 3, "there is no dead letter '1'"),
    (f"dead discard {LARGE} --reason x", 3, f"there is no dead letter '{LARGE}'"),
    (f"dead restore d{LARGE} --reason x", 3, f"there is no dead letter 'd{LARGE}'"),
    (f"replay plan {LARGE}", 3, f"there is no dead letter '{LARGE}'"),
    *((f"{verb} list --limit={LARGE}", 2, "--limit") for verb in ("audit", "dead", "event")),
    *((f"{verb} list --limit=-3", 2, "--limit") for verb in ("dead", "replay", "user")),
    ("hold show h --limit 0", 2, "--limit"),
    (f"hold raise-once h --to {LARGE} --reason x", 2, "--to"),
    ("reconcile standard --limit=-1", 2, "--limit"),
    (f"connection set standard silent_after={LARGE}d --reason x", 2, "is no duration"),
    ("connection set standard breaker_window=366000d --reason x", 2, "is too long"),
    (f"connection set standard breaker_min={LARGE} --reason x", 2, "is too large"),
    ("token add x --scope operator --days 999999999999", 2, "--days"),
    ("token add x --scope operator --days=-1", 2, "--days"),
    *(
        (f"{noun} rotate x --overlap-hours={hours}", 2, "--overlap-hours")
        for noun in ("endpoint", "feed")
        for hours in ("99999999999", "-5", "nan")
    ),
    ("up --port 99999", 2, "--port"),
    ("up --data-dir /dev/null/x", 2, "/dev/null/x cannot be made"),
    ("up --host no..such", 2, "is no address of this machine"),
    ("web --port 99999", 2, "--port"),
    ("web --host 192.0.2.1", 2, "is no address of this machine"),
    ("web --workers=-1", 2, "--workers"),
    ("worker --concurrency=-1", 2, "--concurrency"),
    ("worker --metrics-port=-1", 2, "--metrics-port"),
    ("dead list --state odd", 2, "one of open, replayed, discarded"),
    ("dead list --reason-code odd", 2, "domain_not_allowed"),
    ("dead groups --cause odd", 2, "rosterd: --cause 'odd': one of never_attempted, refused"),
    ("replay list --state odd", 2, "rosterd: --state 'odd': one of planning, planned"),
    ("event list --source odd", 2, "source 'odd' is unknown; there are: auth0"),
    ("operator sessions odd@example.com", 3, "there is no operator 'odd@example.com'"),
    ("replay plan --fingerprint F", 3, "there is no open dead letter for this selection"),
    ("dead discard 8 d9 --reason x", 3, "there is no open dead letter '8', 'd9'"),
    ("source check /dev/null", 3, "there is no source that sends such a request: say which"),
    ("connection check standard --feed fed_1", 3, "no feed 'fed_1' of connection standard"),
    (f"account add {'x' * 300}", 2, f"'{'x' * 39}…' is no name"),
]


def test_a_slip_is_told_and_is_no_traceback(rosterd: Rosterd) -> None:
    rosterd.hire(rosterd.account(), "u1")
    for line, code, says in SLIPS:
        done = rosterd.cli(*line.split())
        assert done.returncode == code, (line, done.stdout, done.stderr)
        assert says in done.stderr, line
        assert "Traceback" not in done.stderr, line


def test_a_check_says_where_nothing_signed_is_posted_and_no_secret_helps(rosterd: Rosterd) -> None:
    rosterd.account(several=True)
    feed = rosterd.connect("acme", source="scim")
    done = rosterd.cli("connection", "check", "scim")
    assert done.returncode == 1
    assert f"feed {feed.id} is spoken to with bearer tokens" in done.stderr
    assert "rosterd connection watch" in done.stderr
    assert "feed rotate" not in done.stderr, "which has no secret for it, either"
    done = rosterd.cli("connection", "watch", "scim", "--wait", "0")
    assert done.returncode == 3
    assert f"there is no event of connection {feed.connection} within 0 s" in done.stderr


def test_the_first_and_the_last_day_bound_nothing(rosterd: Rosterd) -> None:
    rosterd.hire(rosterd.account(), "u1")
    always = ("--since", "0001-01-01", "--until", "9999-12-31T23:59:59Z", "--json")
    for noun in ("event", "audit"):
        assert json.loads(rosterd.cli(noun, "list", *always).stdout), noun


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


#: What cannot be taken back by another command.
FOR_GOOD = {"retire", "delete", "discard", "forbid", "cancel", "replace", "reject"}


def test_what_is_done_for_good_can_be_seen_first_and_is_asked_for() -> None:
    commands = dict(leaves(get_command(build_cli())))
    final = {words for words in commands if words.split()[-1] in FOR_GOOD} | {"token revoke"}
    assert len(final) > 8
    needed = {"--dry-run", "--yes", "--reason"}
    assert {words for words in final if not needed <= options(commands[words])} == set()


def test_a_dry_run_of_what_ends_for_good_ends_nothing(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="scim")
    app = Client(rosterd, "operator", account=None)
    (token,) = [one["id"] for one in rosterd.json("token", "list") if one["name"] == "app"]
    for words in (("token", "revoke", token), ("feed", "retire", feed.id)):
        done = rosterd.cli(*words, "--reason", "r", "--dry-run")
        assert (done.returncode, done.stdout.startswith("would")) == (0, True), done.stderr
    assert app.get("/status") is not None
    assert rosterd.cli("token", "revoke", token, "--reason", "r").returncode == 0
    assert app.ask("GET", "/status").status_code == 401
    assert rosterd.cli("token", "revoke", token, "--reason", "r", "--dry-run").returncode == 3


def test_what_a_group_of_letters_says_to_do_is_about_those_that_were_counted(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "u1@elsewhere.example")
    (group,) = rosterd.json("dead", "groups")
    words = ("dead", "groups", group["fingerprint"])
    assert " --account acme --dry-run" in rosterd.cli(*words, "--account", "acme").stdout
    assert "--account" not in rosterd.cli(*words).stdout


def test_somebody_is_looked_at_by_address_where_one_account_has_it(rosterd: Rosterd) -> None:
    for account in ("acme", "beta"):
        feed = rosterd.account(name=account)
        rosterd.hire(feed, "u1")
    rosterd.hire(feed, "u2", "u2@example.com", given_name="Bo")
    rosterd.tell(feed, "user.suspended", {"id": "u2"})
    for verb in ("show", "timeline"):
        unsure = rosterd.cli("user", verb, "u1@example.com")
        assert (unsure.returncode, "--account" in unsure.stderr) == (2, True), verb
        assert rosterd.cli("user", verb, "u9@example.com").returncode == 3
        assert rosterd.cli("user", verb, "usr_nobody").returncode == 3
        assert rosterd.cli("user", verb, "u2@example.com", "--account", "acme").returncode == 3
    shown = rosterd.json("user", "show", "u1@example.com", "--account", "acme")
    assert shown["email"] == "u1@example.com"
    found = rosterd.json("user", "show", "U2@example.com")
    assert (found["external_id"], found["state"]) == ("u2", "invited_suspended")
    newest, oldest = rosterd.json("user", "timeline", "u2@example.com")
    assert (newest["action"], newest["after"]["state"]) == ("users.suspend", "invited_suspended")
    assert (oldest["before"], oldest["subject"]) == (None, found["id"])
    assert rosterd.json("user", "timeline", found["id"], "--limit", "1") == [newest]
    drawn = rosterd.cli("user", "timeline", found["id"]).stdout
    assert '{"state": "invited"}' in drawn.splitlines()[1], "what differs, and nothing else"
