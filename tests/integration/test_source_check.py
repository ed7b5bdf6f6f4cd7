"""`rosterd source check`: a captured request in; source, proof and changes out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Rosterd
from tests.transmitter import AUDIENCE, ISSUER, Transmitter
from worker.cli.signing import SIGN

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = {
    "type": "user.updated",
    "object": "event",
    "timestamp": 1773044940000,
    "data": {
        "id": "user_1",
        "email_addresses": [{"id": "i", "email_address": "ana@example.com"}],
        "primary_email_address_id": "i",
        "banned": True,
    },
}


def captured(
    folder: Path, source: str, document: object, secret: str, at: datetime | None = None
) -> Path:
    """A request of the source as somebody wrote it down."""
    body = json.dumps(document).encode()
    told = {"host": "rosterd.example.com", **SIGN[source](secret, body, at or datetime.now(UTC))}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    file = folder / "captured.http"
    file.write_bytes(f"POST /hooks/fed_1 HTTP/1.1\r\n{head}\r\n".encode() + body)
    return file


def checked(rosterd: Rosterd, *words: object, code: int = 0) -> dict[str, Any]:
    done = rosterd.cli("source", "check", *map(str, words), "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def here(sqlite_url: str, tmp_path: Path) -> Any:
    harness = Rosterd(sqlite_url, tmp_path)
    yield harness
    harness.close()


def test_source_proof_and_changes_are_told(here: Rosterd, tmp_path: Path) -> None:
    file = captured(tmp_path, "clerk", EVENT, SECRET)
    shown = checked(here, file, "--secret", SECRET)
    assert (shown["source"], shown["detected"]) == ("clerk", ["clerk", "standard"])
    assert (shown["authentic"], shown["answer"]) == (True, 200)
    (event,) = shown["events"]
    assert (event["kind"], event["lane"], event["subject"]) == ("users.suspend", "urgent", "user_1")
    assert event["occurred_at"] == "2026-03-09T08:29:00+00:00"
    (change,) = event["changes"]
    assert change["change"] == "ProvisionUser"
    assert (change["email"], change["active"]) == ("ana@example.com", False)
    said = here.cli("source", "check", str(file), "--secret", SECRET).stdout
    assert "authentic" in said
    assert "active=False" in said
    assert SECRET not in said


def test_without_a_secret_nothing_is_said_of_the_proof(here: Rosterd, tmp_path: Path) -> None:
    shown = checked(here, captured(tmp_path, "clerk", EVENT, SECRET))
    assert shown["authentic"] is None
    assert shown["events"]


def test_why_it_is_not_authentic_is_told(here: Rosterd, tmp_path: Path) -> None:
    file = captured(tmp_path, "clerk", EVENT, SECRET)
    other = "whsec_" + "A" * 32
    assert checked(here, file, "--secret", other, code=1)["why"].startswith("wrong")
    long_ago = datetime.now(UTC) - timedelta(days=3)
    file = captured(tmp_path, "clerk", EVENT, SECRET, long_ago)
    assert checked(here, file, "--secret", SECRET, code=1)["why"].startswith("stale")
    at = ("--at", long_ago.isoformat())
    assert checked(here, file, "--secret", SECRET, *at)["authentic"] is True
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(EVENT))
    assert checked(here, plain, "--secret", SECRET, code=1)["why"].startswith("missing")


def test_body_alone_takes_the_headers_that_lie_beside_it(here: Rosterd, tmp_path: Path) -> None:
    whole = captured(tmp_path, "polis", {"event": "x"}, "a secret").read_bytes()
    head, _, body = whole.partition(b"\r\n\r\n")
    (tmp_path / "one.json").write_bytes(body)
    (tmp_path / "one.headers.txt").write_bytes(head)
    shown = checked(here, tmp_path / "one.json", "--secret", "a secret")
    assert (shown["source"], shown["authentic"]) == ("polis", True)
    assert [event["ignored"] for event in shown["events"]] == ["unknown_type"]


def test_feeds_own_secrets_prove(here: Rosterd, tmp_path: Path) -> None:
    feed = here.account(source="polis")
    file = captured(tmp_path, "polis", {"event": "user.deleted", "data": {"id": "u1"}}, feed.secret)
    assert checked(here, file, "--feed", feed.id)["authentic"] is True
    assert here.events() == [], "nothing is stored"
    assert here.cli("source", "check", str(file), "--feed", "fed_nobody").returncode == 3


def test_what_is_not_understood_fails_with_its_place(here: Rosterd, tmp_path: Path) -> None:
    document = {"event": "user.created", "data": {"id": "u1", "active": True}}
    file = captured(
        tmp_path, "polis", [document, {"event": "group.deleted", "data": {"id": "g"}}], "s"
    )
    shown = checked(here, file, "--secret", "s", code=1)
    first, second = shown["events"]
    assert first["unparseable"].endswith("at data.email")
    assert [change["change"] for change in second["changes"]] == ["DeleteGroup"]
    (tmp_path / "bad.json").write_text("{")
    words = (tmp_path / "bad.json", "--source", "standard")
    assert "not JSON" in checked(here, *words, code=1)["unparseable"]


def test_token_is_proven_by_a_key_set_from_a_file(here: Rosterd, tmp_path: Path) -> None:
    sender = Transmitter()
    uri = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
    subject = {"format": "email", "email": "ana@example.com"}
    file, keys = tmp_path / "push.jwt", tmp_path / "jwks.json"
    file.write_bytes(sender.signed(sender.event({uri: {}}, sub_id=subject)))
    keys.write_bytes(sender.jwks)
    trust = [
        word
        for name in (f"issuer={ISSUER}", f"audience={AUDIENCE}", "jwks_url=https://idp.example.com")
        for word in ("--trust", name)
    ]
    shown = checked(here, file, "--jwks", keys, *trust)
    assert (shown["source"], shown["authentic"], shown["answer"]) == ("set", True, 202)
    assert shown["events"][0]["signal"] == "session-revoked"
    keys.write_bytes(Transmitter().jwks)
    shown = checked(here, file, "--jwks", keys, *trust, code=1)
    assert "authentication_failed" in shown["why"]


def test_wrong_use_is_told_apart_from_a_wrong_request(here: Rosterd, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.json"
    nothing.write_text('{"hello": "world"}')
    for words, code in (
        ((nothing,), 3),
        ((nothing, "--source", "oktaa"), 2),
        ((tmp_path / "absent.json",), 2),
        ((nothing, "--source", "standard", "--at", "yesterday"), 2),
        ((nothing, "--source", "set", "--secret", "s"), 2),
        ((nothing, "--source", "polis", "--trust", "issuer=x"), 2),
    ):
        assert here.cli("source", "check", *map(str, words)).returncode == code, words
    names = here.cli("source", "list").stdout.split()
    assert {"standard", "okta", "set", "zitadel"} <= set(names)
