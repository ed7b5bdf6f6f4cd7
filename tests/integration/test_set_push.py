"""Security Event Tokens over HTTP: keys read, kept, renewed and away; signals passed on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Feed
from tests.listening import Listening, listening_on
from tests.receiver import Receiver, receiver
from tests.transmitter import KeyServer, Transmitter, publishing
from worker.adapters import key_ring
from worker.adapters.sources.registry import SOURCES

SCIM, RISC = "urn:ietf:params:scim:event:", "https://schemas.openid.net/secevent/risc/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
VERIFY = "https://schemas.openid.net/secevent/ssf/event-type/verification"


def by_id(key: str) -> dict[str, str]:
    return {"format": "iss_sub", "iss": "https://idp.example.com/", "sub": key}


def by_address(address: str) -> dict[str, str]:
    return {"format": "email", "email": address}


class Push:
    """A feed of Security Event Tokens with its transmitter."""

    def __init__(self, rosterd: Listening, sender: Transmitter, keys: KeyServer) -> None:
        self.rosterd, self.sender, self.keys = rosterd, sender, keys
        self.feed: Feed

    def stored(self, secret: str | None = None) -> str:
        return SOURCES["set"].credential(secret, self.keys.trust)

    def push(self, token: bytes, **headers: str) -> Any:
        told = {"content-type": "application/secevent+jwt", **headers}
        return self.rosterd.http.post(self.feed.path, content=token, headers=told)

    def tell(self, uri: str, payload: object, subject: object, *, at: float, **more: Any) -> int:
        """Push and apply; the status."""
        when = int(self.rosterd.at(at).timestamp())
        claims = self.sender.event({uri: payload}, sub_id=subject, toe=when, **more)
        status: int = self.push(self.sender.signed(claims)).status_code
        self.rosterd.drain()
        return status


@pytest.fixture
def app() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def pushing(database_url: str, tmp_path: Path, app: Receiver) -> Iterator[Push]:
    sender = Transmitter()
    with publishing(sender) as keys, listening_on(database_url, tmp_path, app) as rosterd:
        found = Push(rosterd, sender, keys)
        found.feed = rosterd.account(source="set", secret=found.stored())
        yield found


def states(pushing: Push) -> dict[str, str]:
    return {one["external_id"]: one["state"] for one in pushing.rosterd.users()}


ANA = {"userName": "ana@example.com", "name": {"givenName": "Ana"}, "active": True}
USER, GROUP = ({"format": "scim", "uri": f"/{kind}/1"} for kind in ("Users", "Groups"))


def test_u1_u3_u4_g1_scim_events_from_token_to_directory(pushing: Push) -> None:
    add = {"op": "add", "path": "members", "value": [{"value": "1"}]}
    for at, (verb, payload, subject) in enumerate(
        [
            ("create:full", {"data": ANA}, USER),
            ("create:full", {"data": {"displayName": "Crew"}}, GROUP),
            ("patch:full", {"data": {"Operations": [add]}}, GROUP),
            ("deactivate", {}, USER),
            ("activate", {}, USER),
            ("put:full", {"data": ANA | {"userName": "ana.silva@example.com"}}, USER),
        ]
    ):
        assert pushing.tell(f"{SCIM}prov:{verb}", payload, subject, at=at) == 202
    (person, group, edge) = pushing.rosterd.export()
    assert (person["state"], person["email"]) == ("invited", "ana.silva@example.com")
    assert (group["external_id"], group["name"]) == ("1", "Crew")
    assert (edge["user"], edge["effective"]) == ("1", True)
    assert pushing.tell(f"{SCIM}prov:delete", {}, USER, at=9) == 202
    assert states(pushing) == {"1": "invited_suspended"}
    assert pushing.keys.asked == 1, "the keys are kept"


def test_password_in_a_token_is_cut_before_it_is_stored(pushing: Push) -> None:
    data = ANA | {"password": "S3cret-of-Ana"}
    assert pushing.tell(f"{SCIM}prov:create:full", {"data": data}, USER, at=1) == 202
    from worker.adapters.db import rows

    (delivery,) = pushing.rosterd.table(rows.deliveries)
    body = pushing.rosterd.parts.vault.open(delivery["body"])
    assert b"ana@example.com" in body
    assert b"S3cret" not in body
    assert delivery["is_cut"]


def test_d12_the_same_token_again_is_one_event(pushing: Push) -> None:
    token = pushing.sender.signed(pushing.sender.event({VERIFY: {"state": "x"}}))
    assert [pushing.push(token).status_code for _ in range(3)] == [202] * 3
    pushing.rosterd.drain()
    (event,) = pushing.rosterd.events()
    assert (event["outcome"], event["reason"]) == ("ignored", "no_directory_change")


def test_rfc8935_errors_are_told_and_nothing_is_stored(pushing: Push) -> None:
    good = pushing.sender.event({VERIFY: {}})
    for claims, more, why in (
        (good | {"iss": "https://else.example.com/"}, {}, "invalid_issuer"),
        (good | {"aud": "else"}, {}, "invalid_audience"),
        (good, {"typ": "JWT"}, "invalid_request"),
    ):
        answer = pushing.push(pushing.sender.signed(claims, **more))
        assert (answer.status_code, answer.json()["err"]) == (400, why)
        assert answer.headers["content-type"] == "application/json"
    assert pushing.push(b"").json()["err"] == "invalid_request"
    stranger = Transmitter()
    answer = pushing.push(stranger.signed(good))
    assert (answer.status_code, answer.json()["err"]) == (400, "authentication_failed")
    assert pushing.rosterd.events() == []
    unknown = pushing.rosterd.http.post("/hooks/fed_nobody", content=pushing.sender.signed(good))
    assert unknown.status_code == 401


def test_authentic_but_malformed_is_stored_and_dead(pushing: Push) -> None:
    claims = pushing.sender.event({VERIFY: {}})
    del claims["jti"]
    assert pushing.push(pushing.sender.signed(claims)).status_code == 202
    pushing.rosterd.drain()
    assert [letter["reason"] for letter in pushing.rosterd.dead()] == ["unparseable"]


def test_rotation_reads_the_keys_anew_once(pushing: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pushing.tell(VERIFY, {}, None, at=1) == 202
    pushing.sender.rotate("key-2")
    first = pushing.push(pushing.sender.signed(pushing.sender.event({VERIFY: {}})))
    assert (first.status_code, first.headers["retry-after"]) == (503, "5"), "asked a moment ago"
    monkeypatch.setattr(key_ring, "PAUSE_SECONDS", 0.0)
    assert pushing.tell(VERIFY, {}, None, at=2) == 202
    assert pushing.tell(VERIFY, {}, None, at=3) == 202
    assert pushing.keys.asked == 2
    old = pushing.sender.signed(pushing.sender.event({VERIFY: {}}), kid="key-1")
    assert pushing.push(old).status_code == 202, "both are published"
    pushing.sender.rotate("key-3", is_published=False)
    answer = pushing.push(pushing.sender.signed(pushing.sender.event({VERIFY: {}})))
    assert (answer.status_code, answer.json()["err"]) == (400, "invalid_key")


def test_a_key_taken_away_proves_nothing_once_the_keys_are_old(
    pushing: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pushing.tell(VERIFY, {}, None, at=1) == 202
    pushing.sender.rotate("key-2")
    del pushing.sender.published[0]
    monkeypatch.setattr(key_ring, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(key_ring, "FRESH_SECONDS", 0.0)
    stolen = pushing.sender.event({f"{RISC}account-disabled": {}})
    deadline = time.monotonic() + 20
    while (status := _status(pushing, stolen)) == 202 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert status == 400, "renewed beside the requests that still passed"


def _status(pushing: Push, claims: dict[str, Any]) -> int:
    status: int = pushing.push(pushing.sender.signed(claims, kid="key-1")).status_code
    return status


def test_keys_that_cannot_be_read_are_a_503_and_never_a_refusal(
    pushing: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = pushing.sender.signed(pushing.sender.event({VERIFY: {}}))
    monkeypatch.setattr(key_ring, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(key_ring, "READ_SECONDS", 0.2)
    for trouble in ({"status": 500}, {"status": 404}, {"hold": 1.0}):
        for name, value in trouble.items():
            setattr(pushing.keys, name, value)
        assert pushing.push(token).status_code == 503
        pushing.keys.status, pushing.keys.hold = 200, 0.0
    assert pushing.rosterd.events() == []
    assert pushing.push(token).status_code == 202, "sent again, it is taken"


def test_keys_once_read_outlive_their_owner_for_a_while(
    pushing: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pushing.tell(VERIFY, {}, None, at=1) == 202
    pushing.keys.status = 500
    monkeypatch.setattr(key_ring, "FRESH_SECONDS", 0.0)
    assert pushing.tell(VERIFY, {}, None, at=2) == 202
    monkeypatch.setattr(key_ring, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(key_ring, "USABLE_SECONDS", 0.0)
    assert (
        pushing.push(pushing.sender.signed(pushing.sender.event({VERIFY: {}}))).status_code == 503
    )


def test_keys_inside_the_network_are_not_asked_for(pushing: Push) -> None:
    trust = {**pushing.keys.trust, "jwks_url": "https://169.254.169.254/jwks"}
    stored = SOURCES["set"].credential(None, trust)
    feed = pushing.rosterd.feed(pushing.feed, "set", stored)
    token = pushing.sender.signed(pushing.sender.event({VERIFY: {}}))
    assert pushing.rosterd.http.post(feed.path, content=token).status_code == 503


def test_bearer_token_is_demanded_where_one_was_given_out(pushing: Push) -> None:
    pushing.feed = pushing.rosterd.feed(pushing.feed, "set", pushing.stored("push token"))
    token = pushing.sender.signed(pushing.sender.event({VERIFY: {}}))
    assert pushing.push(token).json()["err"] == "authentication_failed"
    assert pushing.push(token, authorization="Bearer push token").status_code == 202


def test_u8_risc_by_address_suspends_and_brings_back(pushing: Push) -> None:
    assert pushing.tell(f"{SCIM}prov:create:full", {"data": ANA}, USER, at=1) == 202
    pushing.rosterd.accept("ana@example.com")
    whom = by_address("ANA@example.com")
    pushing.tell(f"{RISC}account-disabled", {"reason": "hijacking"}, whom, at=2)
    assert states(pushing) == {"1": "suspended"}
    pushing.tell(f"{RISC}account-enabled", {}, whom, at=3)
    assert states(pushing) == {"1": "active"}
    pushing.tell(f"{RISC}identifier-changed", {"new-value": "as@example.com"}, whom, at=4)
    (person,) = pushing.rosterd.users()
    assert (person["email"], person["requested_email"]) == ("ana@example.com", "as@example.com")


def test_suspension_of_an_address_that_nobody_has_waits_for_whoever_gets_it(pushing: Push) -> None:
    from sqlalchemy import update

    from worker.adapters.db import rows

    whom = by_address("ana@example.com")
    pushing.tell(f"{RISC}account-disabled", {}, whom, at=5)
    (event,) = pushing.rosterd.events()
    assert (event["state"], event["reason"]) == ("waiting", "not_seen")
    pushing.tell(f"{SCIM}prov:create:full", {"data": ANA}, USER, at=1)
    assert states(pushing) == {"1": "invited"}
    with pushing.rosterd.parts.database.begin() as connection:
        past = pushing.rosterd.at(0)
        waits = rows.events.c.state == "waiting"
        connection.execute(update(rows.events).where(waits).values(due_at=past))
        connection.commit()
    pushing.rosterd.drain()
    assert states(pushing) == {"1": "invited_suspended"}


def test_somebody_of_another_connection_is_not_suspended(pushing: Push) -> None:
    pushing.rosterd.cli("account", "set", "acme", "--several", "on", "--reason", "test")
    other = pushing.rosterd.connect("acme", name="other")
    pushing.rosterd.hire(other, "u1", "ana@example.com")
    pushing.tell(f"{RISC}account-disabled", {}, by_address("ana@example.com"), at=5)
    assert states(pushing) == {"u1": "invited"}
    assert [letter["reason"] for letter in pushing.rosterd.dead()] == ["owned_elsewhere"]


@pytest.mark.parametrize("is_known", [True, False])
def test_signal_changes_no_directory_and_reaches_the_application(
    pushing: Push, app: Receiver, is_known: bool
) -> None:
    if is_known:
        pushing.tell(f"{SCIM}prov:create:full", {"data": ANA}, USER, at=1)
    pushing.rosterd.listen()
    before = pushing.rosterd.export()
    at = int(pushing.rosterd.at(7).timestamp())
    payload = {"initiating_entity": "policy", "event_timestamp": at}
    for number, whom in enumerate((by_id("1"), by_address("ana@example.com"))):
        pushing.tell(f"{CAEP}session-revoked", payload, whom, at=7, jti=f"j{number}")
    assert pushing.rosterd.export() == before
    outcomes = {(row["outcome"], row["reason"]) for row in pushing.rosterd.events()[-2:]}
    assert outcomes == {("ignored", "no_directory_change")}
    assert pushing.rosterd.types() == ["security.signal"] * 2
    for number, told in enumerate(app.told):
        data = told.data
        assert (data["signal"], data["details"]) == ("session-revoked", payload)
        assert data["occurred_at"] == pushing.rosterd.at(7).replace(microsecond=0).isoformat()
        assert data["subject"] == (by_id("1"), by_address("ana@example.com"))[number]
        if is_known:
            assert data["user"]["external_id"] == "1"
            assert data["user"]["email"] == "ana@example.com"
        else:
            assert data["user"] is None


def test_where_no_application_listens_a_signal_is_kept_from_nobody(pushing: Push) -> None:
    assert pushing.tell(f"{CAEP}session-revoked", {}, by_id("1"), at=7) == 202
    (event,) = pushing.rosterd.events()
    assert (event["outcome"], event["reason"]) == ("ignored", "no_directory_change")


def test_connection_is_set_up_from_the_command_line(pushing: Push) -> None:
    pushing.rosterd.cli("account", "add", "globex", "--domain", "example.com")
    words = ("connection", "add", "--account", "globex", "--source", "set", "--json")
    refused = pushing.rosterd.cli(*words)
    assert refused.returncode == 2
    assert "--trust issuer=.." in refused.stderr
    inside = {**pushing.keys.trust, "jwks_url": "https://169.254.169.254/jwks"}
    asked = [word for name, value in inside.items() for word in ("--trust", f"{name}={value}")]
    refused = pushing.rosterd.cli(*words, *asked)
    assert refused.returncode == 2
    assert "is not public" in refused.stderr
    trust = [w for n, v in pushing.keys.trust.items() for w in ("--trust", f"{n}={v}")]
    done = pushing.rosterd.cli(*words, *trust)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    token = pushing.sender.signed(pushing.sender.event({VERIFY: {}}))
    assert pushing.rosterd.http.post(f"/hooks/{shown['feed']}", content=token).status_code == 202
