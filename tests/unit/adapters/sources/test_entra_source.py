"""Microsoft Graph's change notifications: the handshake, the secret in each, what each says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from domain import changes as c
from domain.errors import UsageError
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret
from tests.fuzz.genuine import is_taken, seen
from tests.fuzz.shapes import SHAPES
from tests.unit.adapters.sources.asking import NOW
from tests.unit.adapters.sources.test_one_bit import flips
from worker.adapters.sources.entra import EntraSource
from worker.cli.signing import proven

SOURCE = EntraSource()
SECRET = SigningSecret("k", "s3cret of the subscription")
ANA, BEN, CREW = (f"{n}2b08237-30f1-4fbe-be57-1df593448f7a" for n in "789")
NUMBER = 639_000_000_000_000_001


def notification(kind: str = "User", key: str = ANA, **more: Any) -> dict[str, Any]:
    told = {"@odata.type": f"#Microsoft.Graph.{kind}", "id": key, "sequenceNumber": NUMBER}
    data = told | more.pop("data", {})
    one = {"subscriptionId": "sub-1", "changeType": "updated", "resourceData": data}
    return one | more


def request_of(*items: object, method: str = "POST") -> Request:
    return Request(method, {}, json.dumps({"value": items}).encode())


def proven_by(secret: str, *items: dict[str, Any]) -> Request:
    body, headers = proven("entra", secret, {"value": items}, NOW)
    return Request("POST", headers, body)


def parsed(*items: dict[str, Any]) -> list[Parsed]:
    document = {"value": list(items)}
    count = len(SOURCE.split(document, request_of(*items)))
    return [SOURCE.parse(document, index) for index in range(count)]


def refusal(request: Request, *secrets: SigningSecret) -> str:
    with pytest.raises(NotAuthenticError) as error:
        SOURCE.verify(request, secrets or [SECRET], NOW)
    return error.value.reason


def test_a_new_subscriptions_token_comes_back_as_it_is() -> None:
    token = "Validation: <b>Testing</b> \u2713 Request-Id: 1"
    request = Request("POST", {"content-type": "text/plain"}, b"", {"validationToken": token})
    assert SOURCE.verify(request, [SECRET], NOW) is SECRET
    reply = SOURCE.handshake(request)
    assert reply is not None
    assert (reply.status, reply.media_type, reply.body) == (200, "text/plain", token.encode())


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", {"validationToken": "x"}),
        ("POST", {"validationtoken": "x"}),
        ("POST", {"validationToken": ""}),
        ("POST", {"validationToken": "x" * 5000}),
        ("POST", {}),
    ],
)
def test_nothing_else_is_a_handshake(method: str, query: dict[str, str]) -> None:
    request = Request(method, {}, b"", query)
    assert SOURCE.handshake(request) is None
    assert refusal(request) == "missing"


def test_a_feed_without_a_secret_greets_nobody() -> None:
    request = Request("POST", {}, b"", {"validationToken": "x"})
    assert refusal(request, SigningSecret("k", "")) == "missing"


def test_event_grid_may_send_where_it_asks_to() -> None:
    request = Request("OPTIONS", {"webhook-request-origin": "eventgrid.azure.net"})
    assert SOURCE.verify(request, [SECRET], NOW) is SECRET
    reply = SOURCE.handshake(request)
    assert reply is not None
    assert reply.headers == {"WebHook-Allowed-Origin": "eventgrid.azure.net"}
    odd = Request("OPTIONS", {"webhook-request-origin": "a b"})
    assert SOURCE.handshake(odd) is None
    assert refusal(odd) == "missing"


def test_every_notification_has_to_know_the_secret() -> None:
    good = notification(clientState=SECRET.value)
    assert SOURCE.verify(request_of(good, good), [SECRET], NOW) is SECRET
    assert refusal(request_of(good, notification(clientState="another"))) == "wrong"
    assert refusal(request_of(good, notification())) == "missing"
    assert refusal(request_of(notification(clientState=["s"]))) == "missing"
    assert refusal(request_of()) == "missing"
    assert refusal(Request("POST", {}, b"\xff")) == "missing"
    assert refusal(request_of(good), SigningSecret("k", "")) == "wrong"
    lifecycle = {"lifecycleEvent": "missed", "clientState": "forged"}
    assert refusal(request_of(good, lifecycle)) == "wrong"


def test_while_a_secret_is_replaced_both_count() -> None:
    old = SigningSecret("old", "the former one")
    both = [notification(clientState=one.value) for one in (SECRET, old)]
    assert SOURCE.verify(request_of(*both), [SECRET, old], NOW) is SECRET
    assert refusal(request_of(*both), SECRET) == "wrong"


def test_no_bit_may_be_another_in_a_secret() -> None:
    document = SHAPES["entra"][0]
    body, headers = proven("entra", SECRET.value, document, NOW)
    good = Request("POST", headers, body)
    assert is_taken(SOURCE, SECRET, good)
    assert not is_taken(SOURCE, SigningSecret("none", ""), good)
    for other in flips(SECRET.value.encode()):
        forged = body.replace(SECRET.value.encode(), other, 1)
        assert not is_taken(SOURCE, SECRET, Request("POST", headers, forged))


def test_the_secret_is_not_kept_and_the_rest_is() -> None:
    request = proven_by(SECRET.value, notification(), notification(key=BEN))
    kept, is_cut = SOURCE.opened(request.body)
    assert is_cut
    assert SECRET.value.encode() not in kept
    assert json.loads(kept)["value"][0]["resourceData"]["sequenceNumber"] == NUMBER
    same, other = (proven_by(secret, notification()) for secret in ("one", "two"))
    assert seen(SOURCE, same) == seen(SOURCE, other), "a rotation makes no other event of it"
    assert SOURCE.opened(b'{"value": []}') == (b'{"value": []}', False)


def test_a_long_secret_is_refused_when_it_is_set() -> None:
    with pytest.raises(UsageError, match="128"):
        SOURCE.credential("x" * 129, {})
    assert SOURCE.credential("x" * 128, {})


@pytest.mark.parametrize("changed", ["created", "updated", "renamed"])
def test_whatever_changed_the_person_is_read(changed: str) -> None:
    (split,) = SOURCE.split({"value": [notification(changeType=changed)]}, request_of())
    assert (split.kind, split.subject, split.type) == (Kind.HYDRATE, ANA, f"user.{changed}")
    (told,) = parsed(notification(changeType=changed))
    assert (told.ignored, told.wants) == (Reason.NEEDS_READING, Wanted(What.PERSON, ANA))


def test_who_is_deleted_is_read_and_without_access_is_out() -> None:
    gone = notification(changeType="deleted", key=ANA.upper())
    (told,) = parsed(gone)
    assert (told.changes, told.wants) == ((c.SuspendUser(ANA),), Wanted(What.PERSON, ANA))
    (split,) = SOURCE.split({"value": [gone]}, request_of())
    assert (split.kind, split.subject) == (Kind.USERS_SUSPEND, ANA)
    (group,) = parsed(notification("Group", CREW, changeType="deleted"))
    assert (group.changes, group.wants) == ((c.DeleteGroup(CREW),), Wanted(What.GROUP, CREW))


def test_members_that_came_and_went_are_told_beside_their_group() -> None:
    delta = [
        {"id": ANA},
        {"id": BEN, "@removed": "deleted"},
        {"id": "dev", "@odata.type": "#microsoft.graph.device"},
    ]
    item = notification("Group", CREW, data={"members@delta": delta})
    whole, edges = SOURCE.split({"value": [item]}, request_of())
    assert (whole.kind, whole.type, whole.subject) == (Kind.HYDRATE, "group.updated", CREW)
    assert (edges.kind, edges.type) == (Kind.GROUPS_REMOVE_MEMBERS, "group.members")
    assert whole.id != edges.id
    told = SOURCE.parse({"value": [item]}, 1)
    assert told == Parsed((c.AddMember(CREW, ANA), c.RemoveMember(CREW, BEN)))


@pytest.mark.parametrize("removed", ["deleted", {"reason": "deleted"}, {"reason": "changed"}])
@pytest.mark.parametrize("is_first", [True, False])
def test_who_came_and_went_went(removed: object, is_first: bool) -> None:
    delta = [{"id": ANA}, {"id": ANA, "@removed": removed}]
    item = notification("Group", CREW, data={"members@delta": delta if is_first else delta[::-1]})
    assert SOURCE.parse({"value": [item]}, 1).changes == (c.RemoveMember(CREW, ANA),)


def test_members_that_are_no_people_change_nothing() -> None:
    delta = [{"id": BEN, "@odata.type": "#microsoft.graph.group"}]
    item = notification("Group", CREW, data={"members@delta": delta})
    assert SOURCE.parse({"value": [item]}, 1) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)


def test_a_sequence_number_is_not_rounded() -> None:
    """Beyond 2**53 neighbours are the same number to whoever reads them as floats."""
    items = [
        notification(data={"sequenceNumber": number}) for number in (NUMBER, NUMBER + 1, NUMBER)
    ]
    first, second, again = SOURCE.split(SOURCE.read(request_of(*items).body), request_of())
    assert first.id != second.id
    assert first.id == again.id


def test_the_clock_is_microsofts() -> None:
    told = notification(data={"eventTime": "2026-03-09T08:30:00.2455823Z"})
    counted = notification()
    bare = notification(data={"sequenceNumber": 5})
    moments = [
        one.occurred_at for one in SOURCE.split({"value": [told, counted, bare]}, request_of())
    ]
    assert moments[0] == datetime(2026, 3, 9, 8, 30, 0, 245582, tzinfo=UTC)
    assert moments[1] == datetime(2025, 11, 29, 8, 0, tzinfo=UTC)
    assert moments[2] is None


def test_ticks_are_counted_from_the_year_one() -> None:
    """A recorded pair: 636784480202455800 came with 2018-11-22T01:47:00.2455823Z."""
    item = notification(data={"sequenceNumber": 636_784_480_202_455_800})
    (split,) = SOURCE.split({"value": [item]}, request_of())
    assert split.occurred_at == datetime(2018, 11, 22, 1, 47, 0, 245580, tzinfo=UTC)


def test_keys_are_the_id_or_what_names_the_change() -> None:
    bare = notification(data={"sequenceNumber": None})
    items = [notification(id="n-1"), notification(), bare, bare]
    keys = [one.id for one in SOURCE.split({"value": items}, request_of())]
    assert keys[:2] == ["n-1", f"sub-1:{ANA}:updated:{NUMBER}"]
    assert keys[2] != keys[3], "nothing tells them apart, and neither is lost"


def test_lifecycle_and_foreign_resources_change_nobody() -> None:
    lifecycle = {"subscriptionId": "sub-1", "lifecycleEvent": "missed"}
    message = notification("Message")
    rich = notification(encryptedContent={"data": "x"})
    assert parsed(lifecycle, message, rich) == [
        Parsed(ignored=Reason.NO_DIRECTORY_CHANGE),
        Parsed(ignored=Reason.UNKNOWN_TYPE),
        Parsed(ignored=Reason.UNKNOWN_TYPE),
    ]
    told = [one.type for one in SOURCE.split({"value": [lifecycle, message]}, request_of())]
    assert told == ["lifecycle.missed", "updated"]


def test_cloud_events_of_event_grid_say_the_same() -> None:
    envelope = {"specversion": "1.0", "id": "ce-1", "type": "Microsoft.Graph.UserUpdated"}
    cloud = envelope | {"data": notification(clientState=SECRET.value)}
    for document in (cloud, [cloud, cloud | {"id": "ce-2"}]):
        body = json.dumps(document).encode()
        assert SOURCE.verify(Request("POST", {}, body), [SECRET], NOW) is SECRET
        assert b"s3cret" not in SOURCE.opened(body)[0]
        found = SOURCE.split(SOURCE.read(body), request_of())
        assert found[0].id == "ce-1"
        assert {one.kind for one in found} == {Kind.HYDRATE}


def test_it_tells_whose_tenant_it_is() -> None:
    item = notification("Message", tenantId="t-1", data={"organizationId": "t-2"})
    (told,) = parsed(item)
    assert told.tenants == {"t-1", "t-2"}
