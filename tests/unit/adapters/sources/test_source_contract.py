"""What every source owes its callers, whatever a stranger or a sender puts in front of it."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ports import NotAuthenticError, Request, SigningSecret, Source, UnparseableError
from worker.adapters.sources.registry import SOURCES, source_named

NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
HEADERS = [
    "authorization",
    *("x-fusionauth-signature-jwt", "x-keycloak-signature", "zitadel-signature"),
    *("workos-signature", "boxyhq-signature", "ory-polis-signature"),
    *("x-goog-channel-token", "x-goog-resource-state", "x-goog-channel-id"),
    *(
        f"{prefix}-{part}"
        for prefix in ("webhook", "svix")
        for part in ("id", "timestamp", "signature")
    ),
]
SECRETS = [
    SigningSecret("1", "whsec_cm9zdGVyZA=="),
    SigningSecret("2", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="),
    SigningSecret("3", ""),
    SigningSecret("4", "\u2713"),
]

# A loaded machine is no defect of ours.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

each_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)

ON_THE_WIRE = st.binary(max_size=80).map(lambda raw: raw.decode("latin-1"))
NEAR_MISS = st.sampled_from(
    [
        "1773045000",
        "1773045000000",
        "v1,AAAA",
        "v1a," + "A" * 86 + "==",
        "t=1773045000000, v1=00",
        "t=1773045000000,v1=" + "0" * 64,
        "v1,a,b",
        "v1 v1a  ,",
    ]
)
ANY_TEXT = ON_THE_WIRE | NEAR_MISS | st.text(st.characters(), max_size=40)


# Each example is tried on every source: to make one costs more than to read it fifteen times.


@settings(PATIENT, max_examples=200)
@given(headers=st.dictionaries(st.sampled_from(HEADERS), ANY_TEXT), body=st.binary(max_size=40))
def test_strangers_are_only_ever_not_authentic(headers: dict[str, str], body: bytes) -> None:
    for name, source in SOURCES.items():
        for method in ("POST", "GET"):
            with pytest.raises(NotAuthenticError) as refusal:
                source.verify(Request(method, headers, body), SECRETS, NOW)
            assert refusal.value.reason in {"missing", "wrong"}, name


RISC = "https://schemas.openid.net/secevent/risc/event-type/"
TYPES = [
    *(f"user.{verb}" for verb in ("upserted", "email_changed", "suspended", "deleted")),
    *(f"group.{verb}" for verb in ("upserted", "deleted", "member_added", "members_replaced")),
    *(f"user.lifecycle.{verb}" for verb in ("create", "activate", "suspend")),
    *(f"application.user_membership.{verb}" for verb in ("add", "remove")),
    *(f"group.user_membership.{verb}" for verb in ("add", "remove")),
    *("group.lifecycle.create", "group.lifecycle.delete", "user.account.update_profile"),
    *(f"dsync.user.{verb}" for verb in ("created", "updated", "deleted")),
    *(f"dsync.group.{verb}" for verb in ("created", "deleted", "user_added", "user_removed")),
    *(f"organization.directory.{thing}_created" for thing in ("user", "group")),
    *("user.created", "user.updated", "organization.created", "organizationMembership.created"),
    *("admin.USER-CREATE", "admin.USER-UPDATE", "admin.GROUP-UPDATE", "access.REGISTER"),
    *("user.human.added", "user.human.email.changed", "user.locked"),
    *("user.create.complete", "group.member.remove.complete", "user.bulk.create"),
    *(f"urn:ietf:params:scim:event:prov:{it}" for it in ("create:full", "patch:full", "delete")),
    *(f"{RISC}{it}" for it in ("account-disabled", "identifier-changed", "opt-in")),
    *("USER.CREATED", "USER.DELETED", "GROUP.UPDATED", "MEMBER_OF_GROUP.CREATED", "17", "551"),
    *("#microsoft.graph.user", "#Microsoft.Graph.Group", "updated", "deleted"),
    *("group.member.added", "organization.member.deleted", "group.user_added", "dsync.deleted"),
]
WORDS = [
    *("User", "UserGroup", "AppInstance", "active", "inactive", "SUCCESS", "unknown", "u1"),
    *("a@example.com", "2026-03-09T08:30:00Z", "0001-01-01T00:00:00+14:00", "\x00", ""),
]
MEMBERS = [
    *("id", "uuid", "type", "eventType", "event", "timestamp", "published", "created_at"),
    *("data", "events", "target", "outcome", "result", "alternateId", "displayName"),
    *("email", "emails", "primary", "value", "username", "active", "state", "attributes"),
    *("first_name", "given_name", "name", "user", "group", "group_id", "user_id", "user_ids"),
    *("updated_at", "occurred_at", "banned", "groups", "email_addresses", "organization"),
    *("object", "member", "member_type", "blocked", "raw", "time", "a0purpose", "first_name"),
    *("members", "userId", "users", "createInstant", "sub_id", "format", "uri", "sub", "subject"),
    *("Operations", "op", "path", "userName", "displayName", "new-value", "identifiers"),
    *("resourcePath", "representation", "authDetails", "details", "uid", "event_type"),
    *("aggregateID", "sequence", "event_payload", "created_at"),
    *("channel", "state", "number", "applicationName", "parameters", "uniqueQualifier"),
    *("value", "resourceData", "changeType", "@odata.type", "members@delta", "sequenceNumber"),
    *("public_user_data", "primary_email_address_id", "display_name"),
    *("action", "resources", "recordedAt", "href", "status", "event_type_id", "role_id"),
    *("create", "_id", "event_timestamp"),
]
SCALARS = (
    st.sampled_from([*TYPES, *WORDS])
    | st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=5)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=8)
    ),
    max_leaves=15,
)
DATA = st.dictionaries(st.sampled_from(MEMBERS), DOCUMENTS, max_size=8)
EVENTS = st.fixed_dictionaries(
    {"id": st.just("e1"), "uuid": st.just("e1")},
    optional={
        **{name: st.sampled_from(TYPES) for name in ("type", "eventType", "event")},
        **dict.fromkeys(("timestamp", "published", "created_at", "outcome"), DOCUMENTS),
        "data": DATA,
        "target": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["User", "UserGroup", "AppInstance"]), "id": DOCUMENTS}
            )
        )
        | DOCUMENTS,
    },
)
TOKENS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("iss", "jti"), st.just("e1")),
        "events": st.dictionaries(st.sampled_from(TYPES), DATA, max_size=2),
    },
    optional={"sub_id": DATA, "toe": DOCUMENTS, "iat": DOCUMENTS},
)
LISTS = st.lists(EVENTS | DOCUMENTS, max_size=3)
DELIVERIES = (
    DOCUMENTS
    | EVENTS
    | TOKENS
    | EVENTS.map(lambda event: {"event": event})
    | LISTS.map(lambda events: {"events": events})
    | LISTS.map(lambda events: {"data": {"events": events}})
    | LISTS.map(lambda events: {"value": events})
)


@settings(PATIENT, max_examples=300)
@given(delivery=DELIVERIES)
def test_any_document_is_understood_or_unparseable(delivery: object) -> None:
    request = Request("POST", {"webhook-id": "m1"}, json.dumps(delivery).encode())
    for source in SOURCES.values():
        _is_understood_or_unparseable(source, request)


def _is_understood_or_unparseable(source: Source, request: Request) -> None:
    try:
        document = source.read(request.body)
        events = source.split(document, request)
    except UnparseableError:
        return
    for index, event in enumerate(events):
        assert event.id, source.name
        assert event.occurred_at is None or event.occurred_at.tzinfo is UTC, source.name
        try:
            parsed = source.parse(document, index)
        except UnparseableError:
            continue
        assert bool(parsed.changes) != bool(parsed.ignored), source.name


@settings(PATIENT, max_examples=200)
@given(document=DOCUMENTS, index=st.integers(-3, 3))
def test_parse_never_needs_a_split_before(document: object, index: int) -> None:
    for source in SOURCES.values():
        with suppress(UnparseableError):
            source.parse(document, index)


@each_source
def test_nothing_secret_is_kept(source: Source) -> None:
    forbidden = ("authorization", "cookie", "signature", "token", "secret", "challenge")
    assert not [name for name in source.kept_headers if any(word in name for word in forbidden)]
    assert all(name == name.lower() for name in source.kept_headers)


@each_source
def test_fresh_secrets_differ_and_are_long(source: Source) -> None:
    fresh = {source.new_secret() for _ in range(50)}
    assert len(fresh) == 50
    assert all(len(secret) >= 43 for secret in fresh)


@pytest.mark.parametrize(
    ("name", "status", "static", "scope", "addresses"),
    [
        ("standard", 200, False, False, ("attributes.",)),
        ("okta", 200, True, True, ()),
        ("workos", 200, False, False, ("username", "emails[primary]")),
        ("onelogin", 200, True, True, ()),
        ("pingone", 200, True, True, ()),
        ("auth0", 200, True, True, ()),
        ("entra", 202, True, True, ()),
        ("polis", 200, False, False, ("userName",)),
        ("clerk", 200, False, True, ()),
        ("fusionauth", 200, False, True, ("username",)),
        ("set", 202, False, False, ()),
        ("keycloak", 200, False, True, ("username",)),
        ("google", 200, True, True, ()),
        ("zitadel", 200, False, True, ()),
        ("scalekit", 200, False, False, ()),
    ],
)
def test_registered_sources(
    name: str, status: int, static: bool, scope: bool, addresses: tuple[str, ...]
) -> None:
    source = source_named(name)
    assert source.name == name
    told = (source.success_status, source.has_static_secret, source.needs_scope)
    assert told == (status, static, scope)
    # A batch of PingOne's is as long as the setting lets it be.
    assert source.max_body_bytes == (16 if name == "pingone" else 1) * 1024 * 1024
    assert source.addresses == addresses


def test_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"okta, .*standard, .*workos"):
        source_named("oktaa")
