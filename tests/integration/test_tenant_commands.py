"""Every command of the command line between two accounts: what is named for one leaves the other.

Whoever may type commands sees all accounts (SECURITY.md); `--account` narrows. So an id of another
account is unknown where `--account` is given, and an id given alone moves its own account only.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from tests.command import python_in
from tests.harness import Rosterd
from tests.tenants import MARK, Tenant, contents, leaves, related
from worker.cli.main import build_cli

NOBODY = {
    "account": "acc_0000000000000000",
    "connection": "con_0000000000000000",
    "connection_name": "nobody-feed",
    "feed": "fed_0000000000000000",
    "event": "999999",
    "letter": "999998",
    "discarded": "999997",
    "replay": "rpl_0000000000000000",
    "email": "nobody@example.com",
    "person": "usr_0000000000000000",
    "endpoint": "end_0000000000000000",
    "group_by_hand": "grp_0000000000000000",
    "group": "idp_Y29uXzAwOmcx",
}

#: With `--account beta` and something of alpha: as if it did not exist.
NARROWED = (
    "event list --account beta --connection {connection}",
    "event list --account beta --connection {connection_name}",
    "event tail --account beta --connection {connection} --seconds 0",
    "event tail --account beta --connection {connection_name} --seconds 0",
    "dead list --account beta --connection {connection}",
    "dead list --account beta --connection {connection_name} --state discarded",
    "dead replay {letter} --account beta --reason x --yes --wait 0",
    "dead replay {letter} --account beta --dry-run",
    "dead replay --account beta --connection {connection} --reason x --yes --wait 0",
    "dead replay --account beta --connection {connection_name} --dry-run",
    "dead replay --account beta --cancel {replay}",
    "dead discard {letter} --account beta --reason x --yes",
    "dead restore {discarded} --account beta --reason x",
    'event edit-and-replay {letter} --account beta --patch [{"op":"remove","path":"/x"}]',
    "replay show {replay} --account beta",
    "replay start {replay} --account beta --reason x",
    "replay pause {replay} --account beta",
    "replay resume {replay} --account beta",
    "replay cancel {replay} --account beta --yes",
    "user list --account beta --email {email}",
    "user show {email} --account beta",
    "user show {person} --account beta",
    "user timeline {person} --account beta",
    "user timeline {email} --account beta",
    "user move {person} --account beta --to beta-feed --external-id x --reason x",
    "user role {person} owner --account beta --reason x",
    "user break-glass {person} on --account beta --reason x",
    "user suspend {person} --account beta --reason x",
    "user reactivate {person} --account beta --reason x",
    "user change-email {person} x@example.com --account beta --reason x",
    "user role {email} owner --account beta --reason x",
    "user revoke-invitation {person} --account beta --reason x --dry-run",
    "user revoke-invitation {person} --account beta --reason x --yes",
    "user bounce {email} --account beta --reason x",
    "user private-space {person} --by {person} --account beta",
    "user delete {person} --account beta --reason x --yes",
    "group show {group_by_hand} --account beta",
    "group show {group} --account beta",
    "group rename {group_by_hand} other --account beta --reason x",
    "group grant {group_by_hand} recover_accounts --account beta --reason x",
    "group revoke {group_by_hand} open_private_space --account beta --reason x",
    "group delete {group_by_hand} --account beta --reason x --yes",
    "group member add {group_by_hand} nobody --account beta --reason x",
    "group member remove {group_by_hand} nobody --account beta --reason x",
    "group member add Security {person} --account beta --reason x",
    "connection check beta-feed --feed {feed} --wait 0",
    "hold list --account beta --connection {connection}",
    "hold list --account beta --connection {connection_name} --all",
    "endpoint show {endpoint} --account beta",
    "endpoint test {endpoint} --account beta",
    "endpoint pause {endpoint} --account beta --reason x",
    "endpoint resume {endpoint} --account beta --reason x",
    "endpoint rotate {endpoint} --account beta",
    "endpoint replay {endpoint} --account beta --since 0 --reason x --yes",
    "endpoint remove {endpoint} --account beta --reason x --yes",
)

#: Somebody as a provider's list has them.
LIST = Path(__file__).with_name("backfill.jsonl")

#: What takes ids alone, and what adds to an account: told of beta, it shows and moves beta only.
#: In this order, so that each finds what it acts on; each must succeed.
TOLD_OF_BETA = (
    "account show {account}",
    "account set {account} --several on",
    "connection add --account {account} --source okta --scope assignment:app --name second",
    "connection list --account {account}",
    "connection show {connection}",
    "connection watch {connection} --wait 0",
    "connection access {connection} --url https://b.co --secret-file {credential} --kind okta",
    "connection access {connection}",
    "connection access {connection} --remove",
    "connection subscriptions {connection}",
    "connection subscriptions {connection} --renew --reason x",
    f"connection backfill {{connection}} {LIST} --dry-run",
    "reconcile {connection} --last",
    "connection plan {observing}",
    "connection go-live {observing} --reason x --yes --wait 0",
    "connection pause {connection} --reason x",
    "connection resume {connection} --reason x",
    "connection retire {connection} --reason x --dry-run",
    "connection replace {connection} second --reason x --dry-run",
    "links export {connection}",
    "links import {connection} /dev/null --dry-run",
    "user move {person} --to {connection} --external-id u1 --reason x --dry-run",
    "group move {connection}:g1 --to {connection} --external-id g1 --reason x --dry-run",
    "group move {group} --to {connection} --external-id g1 --reason x --dry-run",
    "connection set {connection} rehire=new_user --reason x",
    "connection set {connection} address=attributes.x --reason x --dry-run",
    "connection list-is {connection} {listed} --count 1 --reason x --yes",
    "directory export --account {account}",
    "directory import {imported} --account {account} --reason x",
    "directory review --account {account}",
    "directory review --account {account} --csv",
    "erasure list --account {account}",
    "domain list {account}",
    "domain check {account} a@example.com",
    "domain allow {account} beta.org",
    "domain forbid {account} example.com",
    "event list --account {account} --subject u1",
    "event list --account {account} --email {email} --source standard",
    "audit list --account {account} --events",
    "audit list --account {account} --action connection.add",
    "event show {event} --body",
    "user list --account {account}",
    "user show {person}",
    "user show {email}",
    "user timeline {person}",
    "user timeline {email} --account {account}",
    "user override {person} suspended --until 8h --reason x",
    "user overrides --account {account} --ended",
    "user override {person} --end --reason x",
    "user resend {person} --reason x",
    "user revoke-invitation {person} --reason x --yes",
    "user resend {person} --reason x",
    "user bounce {email} --account {account} --reason x",
    "mail template set email_change_note --account {account} --text LICENSE --reason x",
    "mail template show email_change_note --account {account}",
    "mail template list --account {account}",
    "mail template reset email_change_note --account {account} --reason x --yes",
    "mail preview invitation --account {account} --html",
    "operator alerts --account {account}",
    "operator add another@example.com --account {account}",
    "operator link {operator}",
    "operator role {operator} admin",
    "operator sessions {operator}",
    "operator password {operator} --remove",
    "operator sign-out {operator}",
    "operator remove {operator} --reason x --yes",
    "status --account {account}",
    "status --account {account} --json",
    "user accept {person} --reason x",
    "user accept {moved} --reason x",
    "user add --account {account} new@example.com",
    "user role {person} administrator --reason x",
    "user break-glass {person} on --reason x",
    "user change-email new@example.com newer@example.com --account {account} --reason x",
    "user suspend newer@example.com --account {account} --reason x",
    "user reactivate newer@example.com --account {account} --reason x",
    "user suspend newer@example.com --account {account} --reason x",
    "user delete newer@example.com --account {account} --reason x --yes",
    "user private-space {person} --by {person}",
    "group list --account {account}",
    "group add --account {account} third",
    "group rename third fourth --account {account} --reason x",
    "group grant fourth open_private_space --account {account} --reason x",
    "group revoke fourth open_private_space --account {account} --reason x",
    "group delete fourth --account {account} --reason x --yes",
    "group show {group_by_hand}",
    "group show {group}",
    "group show {connection}:g1",
    "audit list --subject {group}",
    "mail template show invitation --account {account}",
    "group member add {group_by_hand} {moved} --reason x",
    "group member remove {group_by_hand} {moved} --reason x",
    "dead list --account {account}",
    "dead show {letter}",
    "dead list --account {account} --state discarded",
    "dead discard {letter} --reason x --yes",
    "dead restore {discarded} --reason x",
    "dead groups --account {account}",
    "dead note domain_not_allowed:user.upserted known --account {account}",
    "dead groups domain_not_allowed:user.upserted --account {account}",
    "replay list --account {account}",
    "replay show {replay} --items --report",
    "replay pause {replay}",
    "replay resume {replay} --wait 0",
    "replay cancel {replay} --yes",
    "dead replay --cancel {replay}",
    "event edit-and-replay {discarded} --patch {patch} --reason x --dry-run",
    "replay plan {discarded}",
    "dead replay --account {account} --reason x --yes --wait 0",
    "hold list --account {account}",
    "hold show {hold}",
    "hold raise-once {hold} --to 50 --reason x --dry-run",
    "hold reject {hold} --reason x --yes",
    "hold approve {hold} --reason x --yes",
    "feed add {connection} --source okta",
    "feed list {connection}",
    "feed rotate {feed}",
    "feed pause {feed} --reason x",
    "feed resume {feed} --reason x",
    "record {feed} --last 1 --to {recording} --reason x",
    "feed retire {feed} --reason x --yes",
    "endpoint add https://app.example.com/hooks --account {account}",
    "endpoint list --account {account}",
    "endpoint show {endpoint}",
    "endpoint pause {endpoint} --reason x",
    "endpoint resume {endpoint} --reason x",
    "endpoint rotate {endpoint}",
    "endpoint replay {endpoint} --since 0 --reason x --yes",
    "endpoint remove {endpoint} --reason x --yes",
    "token add mine --scope directory:read --account {account}",
    "token revoke {token} --reason x",
)

#: Not told of one account, each with why that opens nothing.
OF_ALL_ACCOUNTS = {
    "account add": "makes a new one; --parent only notes where it belongs",
    "account list": "the operator's list of all",
    "backup": "the database as a whole, to a file of its owner's",
    "beat": "a process",
    "completion": "a script for the shell",
    "demo": "a data directory of its own",
    "doctor": "names accounts without domains, to the operator",
    "erasure show": "one deletion by its id, with no name in it",
    "erasure verify": "one deletion by its id; tells where, never what was found",
    "keys new": "a random number",
    "keys rotate": "seals everything anew; what is sealed stays what it was",
    "migrate": "the schema",
    "play": "a data directory of its own",
    "operator list": "the operator's list of all, without what lets somebody in",
    "restore": "into an empty database",
    "source check": "a captured request in a file; no account is looked at",
    "source list": "what this program speaks",
    "token list": "the operator's list of all, without what lets somebody in",
    "up": "a process",
    "web": "a process",
    "worker": "a process",
}


@pytest.fixture
def two(rosterd: Rosterd, request: pytest.FixtureRequest) -> tuple[Tenant, Tenant]:
    """What the second is to the first each walk says; of strangers test_tenants tells."""
    return related(rosterd, request.param)


def test_every_command_is_walked_or_says_why_not() -> None:
    commands = {words for words, _ in leaves(get_command(build_cli()))}
    commands = {words for words in commands if not words.startswith("bench ")}  # scratch databases
    lines = [f"{line} " for line in NARROWED + TOLD_OF_BETA]
    walked = {one for one in commands if any(line.startswith(f"{one} ") for line in lines)}
    named = {"connection check", *walked, *OF_ALL_ACCOUNTS}
    assert commands == named


@pytest.mark.parametrize("two", ["child"], indirect=True)
def test_c4_where_account_narrows_what_another_account_has_is_unknown(
    rosterd: Rosterd, two: tuple[Tenant, Tenant]
) -> None:
    alpha, beta = two
    shown = [rosterd.export(tenant.words["account"]) for tenant in (alpha, beta)]
    keys = [{line["external_id"] for line in lines if line["kind"] == "user"} for lines in shown]
    assert {"u1", "u2", "u4"} <= keys[0] & keys[1], "or the walk proves less than it seems to"
    before = contents(rosterd)
    for line in NARROWED:
        (key,) = [name for name in NOBODY if f"{{{name}}}" in line]
        others, nobodys = (_told(rosterd, line, key, ids[key]) for ids in (alpha.words, NOBODY))
        assert others == nobodys, line
        assert not [mark for mark in alpha.marks if mark in "".join(map(str, others))], line
    assert contents(rosterd) == before


def test_a_name_that_two_accounts_gave_is_the_named_accounts_own(rosterd: Rosterd) -> None:
    for account in ("alpha", "beta"):
        rosterd.account(name=account)
    assert "use the id" in rosterd.cli("connection", "show", "standard").stderr
    done = rosterd.cli("event", "list", "--account", "beta", "--connection", "standard")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("two", ["sibling"], indirect=True)
def test_c4_what_is_told_of_one_account_shows_and_moves_only_that(
    rosterd: Rosterd, two: tuple[Tenant, Tenant]
) -> None:
    alpha, beta = two
    marks = [mark for mark in (*alpha.marks, MARK) if not mark.isdigit()]
    held = {row for row in contents(rosterd) if any(mark in row[1] for mark in marks)}
    assert len(held) > len(marks)
    for line in TOLD_OF_BETA:
        words = [word.format(**beta.words) for word in line.split()]
        done = rosterd.cli(*words)
        assert done.returncode == 0, (line, done.stderr)
        # Whose child an account is belongs to what is known of it.
        own = {alpha.words["account"]} if line.startswith("account show") else set()
        seen = done.stdout + done.stderr
        assert python_in(done.stdout) == [], line
        assert not [mark for mark in marks if mark in seen and mark not in own], line
    # The audit tells which command it was; to read every table after each takes most of the time.
    now = contents(rosterd)
    assert held <= now, held - now
    assert not [row for row in now - held if any(mark in row[1] for mark in marks)]


def _told(rosterd: Rosterd, line: str, key: str, value: str) -> tuple[int, str, str]:
    done = rosterd.cli(*line.replace(f"{{{key}}}", value).split())
    return (
        done.returncode,
        done.stdout.replace(value, "ID"),
        done.stderr.replace(value, "ID"),
    )
