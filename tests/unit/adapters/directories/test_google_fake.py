"""The fake of Google enforces what Google does: else tests over it would show nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import jwt
import pytest

from tests.fakes.google import SCOPES, Channel, FakeGoogle, Post, private_key

WATCH = "/admin/directory/v1/users/watch?customer=my_customer&event="
LOG = "/admin/reports/v1/activity/users/all/applications/admin"


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle().serving() as fake:
        yield fake


@pytest.fixture
def client(google: FakeGoogle) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=google.url, trust_env=False) as made:
        made.headers["authorization"] = f"Bearer {token(google, made)}"
        yield made


@pytest.fixture
def sent(google: FakeGoogle) -> list[tuple[Mapping[str, str], bytes]]:
    """What Google sent; answered by 200."""
    kept: list[tuple[Mapping[str, str], bytes]] = []

    def post(headers: Mapping[str, str], body: bytes) -> int:
        kept.append((headers, body))
        return 200

    google.post = lambda _channel: post
    return kept


def token(google: FakeGoogle, client: httpx.Client, **claims: Any) -> str:
    now = int(time.time())
    told = {
        "iss": google.email,
        "sub": google.subject,
        "aud": f"{google.url}/token",
        "scope": " ".join(SCOPES),
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = {"grant_type": grant, "assertion": jwt.encode(told, private_key()[0], "RS256")}
    answer = client.post("/token", data=form)
    return str(answer.json().get("access_token", answer.json().get("error")))


def watch(client: httpx.Client, event: str = "update", **more: Any) -> httpx.Response:
    told = {"id": "c1", "type": "web_hook", "address": "https://hooks.example.com/", **more}
    return client.post(f"{WATCH}{event}", json={"token": "t", **told})


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"sub": "somebody@example.com"}, "unauthorized_client"),
        ({"sub": None}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/admin.directory.user"}, "unauthorized_client"),
        ({"scope": ""}, "unauthorized_client"),
        ({"iss": "another@example.com"}, "invalid_grant"),
        ({"aud": "https://elsewhere.example.com"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"exp": int(time.time()) + 7200}, "invalid_grant"),
    ],
)
def test_only_a_delegated_account_gets_a_token(
    google: FakeGoogle, client: httpx.Client, claims: dict[str, Any], why: str
) -> None:
    assert token(google, client, **claims) == why


def test_a_token_ends(google: FakeGoogle, client: httpx.Client) -> None:
    google.user("101")
    path = "/admin/directory/v1/users/101"
    assert client.get(path).status_code == 200
    google.shift += google.token_seconds
    assert reason(client.get(path)) == (401, "authError")


def test_pages_have_a_largest_size_and_tokens_hold_for_their_list(
    google: FakeGoogle, client: httpx.Client
) -> None:
    for number in range(3):
        google.user(str(number))
    users = "/admin/directory/v1/users"
    assert client.get(users).status_code == 400, "a customer has to be named"
    mine = {"customer": "my_customer"}
    assert client.get(users, params={**mine, "maxResults": 501}).status_code == 400
    page = client.get(users, params={**mine, "maxResults": 2}).json()
    assert len(page["users"]) == 2
    rest = {**mine, "maxResults": 2, "pageToken": page["nextPageToken"]}
    assert len(client.get(users, params=rest).json()["users"]) == 1
    groups = client.get("/admin/directory/v1/groups", params=rest)
    assert groups.status_code == 400
    assert "groups" not in client.get("/admin/directory/v1/groups", params=mine).json()


def test_a_channel_begins_with_a_sync_and_its_numbers_grow_not_by_one(
    google: FakeGoogle, client: httpx.Client, sent: list[tuple[Mapping[str, str], bytes]]
) -> None:
    assert watch(client).status_code == 200
    first, body = sent[0]
    assert (first["X-Goog-Resource-State"], first["X-Goog-Message-Number"]) == ("sync", "1")
    assert body == b""
    google.user("101")
    assert len(sent) == 1, "an addition is another channel's"
    for number in range(20):
        google.user("101", name={"givenName": str(number)})
    told = [int(headers["X-Goog-Message-Number"]) for headers, _ in sent]
    assert told == sorted(set(told))
    assert told != list(range(1, len(told) + 1))
    assert {headers["X-Goog-Channel-Token"] for headers, _ in sent} == {"t"}
    assert set(json.loads(sent[-1][1])) == {"kind", "id", "primaryEmail"}, "thin"


def test_a_channel_ends_and_an_id_is_used_once(
    google: FakeGoogle, client: httpx.Client, sent: list[tuple[Mapping[str, str], bytes]]
) -> None:
    made = watch(client, expiration=str(int((time.time() + 10**7) * 1000))).json()
    assert int(made["expiration"]) / 1000 < time.time() + 6 * 3600 + 60, "six hours at most"
    assert reason(watch(client)) == (400, "channelIdNotUnique")
    assert reason(watch(client, id="c2", token="x" * 257)) == (400, "invalid")
    assert reason(watch(client, "rename", id="c2")) == (400, "invalid")
    google.user("101")
    google.user("101", name={})
    assert len(sent) == 2
    google.shift += 6 * 3600 + 60
    google.user("101", name={})
    assert len(sent) == 2


def test_only_its_own_resource_stops_a_channel(google: FakeGoogle, client: httpx.Client) -> None:
    made = watch(client).json()
    stop = "/admin/directory_v1/channels/stop"
    assert client.post(stop, json={"id": "c1", "resourceId": "x"}).status_code == 404
    told = {"id": "c1", "resourceId": made["resourceId"]}
    assert client.post(stop, json=told).status_code == 204
    assert client.post(stop, json=told).status_code == 404
    assert google.channels == {}


@pytest.mark.parametrize(
    ("status", "again"),
    [(500, True), (502, True), (503, True), (504, True), (400, False), (401, False), (429, False)],
)
def test_only_faults_of_ours_bring_a_message_again(
    google: FakeGoogle, client: httpx.Client, status: int, again: bool
) -> None:
    kept: list[Mapping[str, str]] = []
    answers = [200]

    def to(_channel: Channel) -> Post:
        def post(headers: Mapping[str, str], body: bytes) -> int:
            kept.append(headers)
            return answers[-1]

        return post

    google.post = to
    watch(client)
    answers.append(status)
    google.user("101")
    google.user("101", name={})
    answers.append(200)
    google.send_again()
    google.send_again()
    numbers = [headers["X-Goog-Message-Number"] for headers in kept[1:]]
    assert (len(numbers), len(set(numbers))) == (2 if again else 1, 1)
    assert google.lost == ([] if again else ["update"])


def test_a_quota_is_a_403(google: FakeGoogle, client: httpx.Client) -> None:
    google.limit = 1
    assert client.get(LOG, params={"startTime": "2026-03-09T08:30:00Z"}).status_code == 200
    told = client.get(LOG, params={"startTime": "2026-03-09T08:30:00Z"})
    assert reason(told) == (403, "quotaExceeded")
