"""Fat sources from the request to the exported directory, over HTTP, on both databases."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.harness import Feed, Rosterd
from tests.listening import listening_on
from tests.receiver import receiver
from tests.transmitter import ISSUER, Transmitter, publishing
from worker.adapters.db import rows
from worker.adapters.sources.registry import SOURCES
from worker.cli.sender import Sent
from worker.cli.signing import SIGN


def sent(source: str, feed: Feed, document: object) -> Sent:
    """A request as the source's senders make it now."""
    body = json.dumps(document).encode()
    headers = SIGN[source](feed.secret, body, datetime.now(UTC))
    return Sent(feed.path, {"content-type": "application/json", **headers}, body)


def milliseconds(rosterd: Rosterd, second: float) -> int:
    return int(rosterd.at(second).timestamp() * 1000)


def person(key: str, **more: object) -> dict[str, Any]:
    """What is exported of somebody."""
    return {
        "kind": "user",
        "external_id": key,
        "email": "ana@example.com",
        "requested_email": "ana@example.com",
        "given_name": "Ana",
        "family_name": None,
        "display_name": None,
        "state": "invited",
        "managed": True,
        **more,
    }


def exported(rosterd: Rosterd) -> list[dict[str, Any]]:
    """The directory, without the connection's name."""
    return [
        {name: value for name, value in line.items() if name != "connection"}
        for line in rosterd.export()
    ]


CREW = {"kind": "group", "managed": True, "name": "Crew"}


def test_u1_u3_g1_clerk_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="clerk", scope="groups:org_1")
    ana = {
        "id": "user_1",
        "first_name": "Ana",
        "email_addresses": [{"id": "idn_1", "email_address": "ana@example.com"}],
        "primary_email_address_id": "idn_1",
    }
    edge = {"organization": {"id": "org_1"}, "public_user_data": {"user_id": "user_1"}}
    told = [
        ("organization.created", {"id": "org_1", "name": "Crew"}),
        ("organizationMembership.created", edge),
        ("user.created", ana | {"banned": False}),
        ("user.created", ana | {"id": "user_2"}),
        ("user.updated", ana | {"banned": True}),
    ]
    # As delivered late and backwards: the clock is Clerk's.
    for second, (type_, data) in reversed(list(enumerate(told))):
        document = {"type": type_, "data": data, "timestamp": milliseconds(rosterd, second)}
        assert rosterd.post(sent("clerk", feed, document)) == 200
        rosterd.drain()
    edges = {"kind": "membership", "group": "org_1", "user": "user_1", "effective": True}
    assert exported(rosterd) == [
        person("user_1", state="invited_suspended"),
        CREW | {"external_id": "org_1"},
        edges,
    ]
    reasons = {(row["subject"], row["outcome"], row["reason"]) for row in rosterd.events()}
    assert ("user_2", "ignored", "out_of_scope") in reasons, "S1: of another customer"


def test_u1_u4_g1_scalekit_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="scalekit")
    ana = {"id": "diruser_1", "email": "ana@example.com", "given_name": "Ana", "active": True}
    told = [
        ("user_created", ana | {"groups": [{"id": "dirgroup_1"}]}),
        ("group_created", {"id": "dirgroup_1", "display_name": "Crew"}),
        ("user_updated", ana | {"active": False}),
        ("user_updated", ana),
        ("user_created", ana | {"id": "diruser_2", "active": None, "email": "bo@elsewhere.org"}),
    ]
    for second, (type_, data) in enumerate(told):
        document = {
            "id": "evt_1",
            "type": f"organization.directory.{type_}",
            "occurred_at": rosterd.at(second).isoformat(),
            "data": data,
        }
        request = sent("scalekit", feed, document)
        assert [rosterd.post(request), rosterd.post(request)] == [200, 200], "sent twice"
    rosterd.drain()
    assert len(rosterd.events()) == len(told)
    edges = {"kind": "membership", "group": "dirgroup_1", "user": "diruser_1", "effective": True}
    assert exported(rosterd) == [person("diruser_1"), CREW | {"external_id": "dirgroup_1"}, edges]
    assert [letter["reason"] for letter in rosterd.dead()] == ["domain_not_allowed"]


def test_u1_u3_u4_g1_s1_auth0_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="auth0", scope="groups:org_1")
    ana = {"user_id": "auth0|1", "email": "ana@example.com", "given_name": "Ana"}
    edge = {"organization": {"id": "org_1"}, "user": {"user_id": "auth0|1"}}
    told: list[tuple[str, Any]] = [
        ("user.created", ana),
        ("organization.created", {"id": "org_1", "name": "crew", "display_name": "Crew"}),
        ("organization.member.added", edge),
        ("user.updated", ana | {"blocked": True}),
        ("user.updated", ana | {"blocked": False, "email": "ana.silva@example.com"}),
        ("user.updated", ana | {"blocked": True, "email": "test@example.com"}),
        ("user.created", ana | {"user_id": "auth0|2", "email": "bo@example.com"}),
    ]
    for second, (type_, data) in enumerate(told):
        document = {
            "id": f"evt_{second}",
            "type": type_,
            "time": rosterd.at(second).isoformat(),
            "data": {"object": data},
            **({"a0purpose": "test"} if data.get("email") == "test@example.com" else {}),
        }
        request = sent("auth0", feed, document)
        assert [rosterd.post(request), rosterd.post(request)] == [200, 200], "sent twice"
        rosterd.drain()
    assert exported(rosterd) == [
        person("auth0|1", email="ana.silva@example.com", requested_email="ana.silva@example.com"),
        CREW | {"external_id": "org_1"},
        {"kind": "membership", "group": "org_1", "user": "auth0|1", "effective": True},
    ]
    wrong = Feed(feed.id, feed.connection, "another token")
    assert rosterd.post(sent("auth0", wrong, {"id": "evt_9", "type": "user.deleted"})) == 401
    assert len(rosterd.events()) == len(told)


def test_u1_u3_g1_polis_array_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="polis")
    ana = {"id": "u1", "email": "ana@example.com", "first_name": "Ana", "active": True}
    crew = {"id": "g1", "name": "Crew"}
    out = {"event": "user.updated", "data": ana | {"active": False}}
    back = {"event": "user.updated", "data": ana}
    told = [
        {"event": "user.created", "data": ana},
        {"event": "group.created", "data": crew},
        {"event": "group.user_added", "data": ana | {"group": crew}},
        out,
        back,
        out,
    ]
    assert rosterd.post(sent("polis", feed, told)) == 200, "batch mode takes exactly this"
    rosterd.drain()
    suspended = person("u1", state="invited_suspended")
    edge = {"kind": "membership", "group": "g1", "user": "u1", "effective": True}
    assert exported(rosterd) == [suspended, CREW | {"external_id": "g1"}, edge]
    one = sent("polis", feed, back)
    assert [rosterd.post(one), rosterd.post(one)] == [200, 200]
    rosterd.drain()
    assert len(rosterd.events()) == len(told) + 1, "the same three times is not a repetition"
    assert exported(rosterd)[0] == person("u1")


def test_u1_u3_g1_fusionauth_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="fusionauth", scope="groups:g1")
    ana = {"id": "u1", "email": "ana@example.com", "firstName": "Ana", "active": True}
    crew = {"id": "g1", "name": "Crew"}
    told: list[tuple[str, dict[str, Any]]] = [
        ("user.create.complete", {"user": ana}),
        ("group.create.complete", {"group": crew}),
        ("group.member.add.complete", {"group": crew, "members": [{"userId": "u1"}]}),
        ("user.deactivate", {"user": ana | {"active": False}}),
        ("user.update.complete", {"user": ana}),
        ("user.delete", {"user": ana}),
        ("user.create.complete", {"user": ana | {"id": "u2", "email": "bo@example.com"}}),
    ]
    for second, (type_, data) in enumerate(told):
        event = {"id": f"e{second}", "type": type_, "createInstant": milliseconds(rosterd, second)}
        request = sent("fusionauth", feed, {"event": event | data})
        assert [rosterd.post(request), rosterd.post(request)] == [200, 200], "sent twice"
        rosterd.drain()
    assert exported(rosterd) == [
        person("u1"),
        CREW | {"external_id": "g1"},
        {"kind": "membership", "group": "g1", "user": "u1", "effective": True},
    ]
    request = sent("fusionauth", feed, {"event": {"id": "e9", "type": "user.deactivate"}})
    assert rosterd.post(Sent(request.url, request.headers, request.body + b" ")) == 401
    assert len(rosterd.events()) == len(told)


def keycloak(rosterd: Rosterd, second: float, type_: str, path: str, told: Any) -> dict[str, Any]:
    return {
        "uid": f"e{second}",
        "time": milliseconds(rosterd, second),
        "type": f"admin.{type_}",
        "resourcePath": path,
        "representation": json.dumps(told),
    }


def test_u1_u3_u4_g1_keycloak_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="keycloak", scope="groups:g1")
    ana = {"username": "ana", "email": "ana@example.com", "firstName": "Ana", "enabled": True}
    secret = [{"type": "password", "value": "S3cret-of-Ana"}]
    told: list[tuple[str, str, Any]] = [
        ("USER-CREATE", "users/u1", ana | {"credentials": secret}),
        ("GROUP-CREATE", "groups/g1", {"name": "Crew"}),
        ("GROUP_MEMBERSHIP-CREATE", "users/u1/groups/g1", {"name": "Crew"}),
        ("USER-UPDATE", "users/u1", {"enabled": False}),
        ("USER-UPDATE", "users/u1", {"firstName": "Ana", "enabled": True}),
        ("USER-UPDATE", "users/u1", {"enabled": False}),
        ("USER-CREATE", "users/u2", ana | {"email": "bo@example.com"}),
    ]
    for second, (type_, path, shown) in enumerate(told):
        request = sent("keycloak", feed, keycloak(rosterd, second, type_, path, shown))
        assert [rosterd.post(request), rosterd.post(request)] == [200, 200], "sent twice"
        rosterd.drain()
    assert exported(rosterd) == [
        person("u1", state="invited_suspended"),
        CREW | {"external_id": "g1"},
        {"kind": "membership", "group": "g1", "user": "u1", "effective": True},
    ]
    assert len(rosterd.events()) == len(told)
    opened = [rosterd.parts.vault.open(row["body"]) for row in rosterd.table(rows.deliveries)]
    assert not [body for body in opened if b"S3cret" in body]


def test_keycloak_by_the_token_of_its_realm(database_url: str, tmp_path: Path) -> None:
    realm = Transmitter("RS256")
    with (
        publishing(realm) as keys,
        receiver() as app,
        listening_on(database_url, tmp_path, app) as rosterd,
    ):
        trust = {"issuer": ISSUER, "jwks_url": keys.url}
        stored = SOURCES["keycloak"].credential(None, trust)
        feed = rosterd.account(source="keycloak", scope="everyone", secret=stored)
        shown = {"email": "ana@example.com", "firstName": "Ana"}
        event = keycloak(rosterd, 1, "USER-CREATE", "users/u1", shown)
        body = json.dumps(event).encode()
        claims = {"iss": ISSUER, "exp": time.time() + 300}
        digest = {"request_body_sha256": hashlib.sha256(body).hexdigest()}
        token = realm.signed(claims | digest, typ="JWT").decode()
        bearer = {"authorization": f"Bearer {token}"}
        assert rosterd.post(Sent(feed.path, bearer, body)) == 200
        assert rosterd.post(Sent(feed.path, bearer, body + b" ")) == 401
        rosterd.drain()
        assert [one["external_id"] for one in rosterd.users()] == ["u1"]


def test_u1_u3_u4_e3_zitadel_from_request_to_directory(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="zitadel", scope="everyone")
    ana = {"userName": "ana", "email": "ana@example.com", "firstName": "Ana", "secret": "S3cret"}
    told: list[tuple[str, Any]] = [
        ("user.human.added", ana),
        ("user.human.email.changed", {"email": "ana.silva@example.com"}),
        ("user.deactivated", {}),
        ("user.reactivated", {}),
        ("user.locked", {}),
    ]
    for second, (type_, shown) in reversed(list(enumerate(told))):
        document = {
            "aggregateID": "u1",
            "sequence": second,
            "event_type": type_,
            "created_at": rosterd.at(second).isoformat(),
            "event_payload": base64.b64encode(json.dumps(shown).encode()).decode(),
        }
        request = sent("zitadel", feed, document)
        assert [rosterd.post(request), rosterd.post(request)] == [200, 200], "sent twice"
        rosterd.drain()
    moved = {"email": "ana.silva@example.com", "requested_email": "ana.silva@example.com"}
    assert exported(rosterd) == [person("u1", state="invited_suspended", **moved)]
    assert len(rosterd.events()) == len(told)


def test_s1_who_speaks_of_a_whole_organisation_needs_a_scope(rosterd: Rosterd) -> None:
    rosterd.cli("account", "add", "acme", "--domain", "example.com")
    for source in ("auth0", "clerk", "fusionauth", "keycloak", "zitadel"):
        done = rosterd.cli("connection", "add", "--account", "acme", "--source", source)
        assert done.returncode == 2
        assert "say whom to provision, by the scope everyone" in done.stderr
    done = rosterd.cli("connection", "add", "--account", "acme", "--source", "polis")
    assert done.returncode == 0, done.stderr


def test_s1_only_one_customer_of_a_sender_that_speaks_for_several(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="scalekit")
    reason = ("--reason", "their endpoint hears of all", "--yes")
    rosterd.cli("connection", "set", feed.connection, "tenant=org_1", *reason)
    ana = {"id": "diruser_1", "email": "ana@example.com", "given_name": "Ana", "active": True}

    def tell(second: float, type_: str, organization: str, data: dict[str, Any]) -> None:
        document = {
            "type": f"organization.directory.{type_}",
            "organization_id": organization,
            "occurred_at": rosterd.at(second).isoformat(),
            "data": data,
        }
        assert rosterd.post(sent("scalekit", feed, document)) == 200
        rosterd.drain()

    tell(1, "user_created", "org_1", ana)
    tell(2, "user_created", "org_2", ana | {"id": "diruser_2", "email": "bo@example.com"})
    tell(3, "user_deleted", "org_2", {"id": "diruser_1"})
    tell(4, "user_deleted", "", {"id": "diruser_1"})
    assert exported(rosterd) == [person("diruser_1")]
    reasons = [row["reason"] for row in rosterd.events()]
    assert reasons == [None, "out_of_scope", "out_of_scope", "out_of_scope"]
    tell(5, "user_deleted", "org_1", {"id": "diruser_1"})
    assert exported(rosterd) == [person("diruser_1", state="invited_suspended")]


def test_s1_who_speaks_for_one_customer_takes_no_tenant(rosterd: Rosterd) -> None:
    feed = rosterd.account(source="standard")
    reason = ("--reason", "mistaken", "--yes")
    done = rosterd.cli("connection", "set", feed.connection, "tenant=org_1", *reason)
    assert done.returncode == 2
    assert "speaks for one customer" in done.stderr


def test_c3_feed_takes_the_senders_own_secret(rosterd: Rosterd) -> None:
    """Clerk gives its secret out once the endpoint's address is told: the feed comes first."""
    feed = rosterd.account(source="clerk", scope="everyone")
    theirs = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    words = ("feed", "rotate", feed.id, "--overlap-hours", "0", "--secret")
    assert rosterd.cli(*words, "").returncode == 2
    assert rosterd.cli(*words, "whsec_!").returncode == 2
    assert rosterd.cli(*words, theirs).returncode == 0
    document = {"type": "user.deleted", "data": {"id": "user_1"}}
    assert rosterd.post(sent("clerk", feed, document)) == 401
    assert rosterd.post(sent("clerk", Feed(feed.id, feed.connection, theirs), document)) == 200
