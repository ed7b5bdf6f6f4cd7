"""Whatever bytes come in unauthenticated: parsers answer by contract, HTTP never with a 500.

Ten minutes by hand: ROSTERD_TEST_EXPLORE=20 pytest tests/fuzz.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.intake import FeedView, Submission
from domain.ports import (
    Request,
    SigningSecret,
    Source,
    UnparseableError,
)
from tests.exploring import patient
from tests.fuzz.shapes import anything, bodies
from tests.harness import Rosterd
from tests.transmitter import Transmitter
from worker.adapters.db.foreign import _why
from worker.adapters.sources.jws import read_keys
from worker.adapters.sources.registry import SOURCES
from worker.services.receive import Refusal, cut_passwords, receive
from worker.web.body import EncodingError, TooLargeError, read_body

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMIT = 4096
#: Where ids and times come in headers: what a proven request has.
IDS = {"svix-id": "msg_1", "boxyhq-signature": "t=1780272000000,s=00"}

headers = st.dictionaries(
    st.sampled_from(
        [
            "authorization",
            "content-length",
            "content-encoding",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "boxyhq-signature",
            "ory-polis-signature",
            "x-fusionauth-signature-jwt",
            "x-keycloak-signature",
            "zitadel-signature",
            "svix-id",
            "svix-timestamp",
            "svix-signature",
            "workos-signature",
            "x-okta-verification-challenge",
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=40)
    | st.sampled_from(["v1,", "v1,====", "t=1,v1=", "t=²,v1=aa", "²", "9" * 5000, "Bearer "]),
)


@pytest.mark.parametrize("name", SOURCES)
def test_whatever_is_signed_is_stored_whole_or_split_by_contract(name: str) -> None:
    source = SOURCES[name]

    @patient(150)
    @given(body=bodies(name))
    def whatever(body: bytes) -> None:
        request = Request("POST", IDS, body, {})
        taken = receive(_feed(source), _Trusting(source), request, now=NOW)
        assert isinstance(taken, Submission)
        is_empty = b'"events": []' in body or body.strip() == b"[]"
        is_empty = is_empty or b'"events": {}' in body or b'"value": []' in body
        # What SCIM stores itself is never split: nothing is posted to a hook of it.
        assert taken.events or is_empty or name == "scim", "what cannot be split is one event"
        try:
            document = source.read(taken.body)
        except UnparseableError:
            return
        for index in range(3):
            with suppress(UnparseableError):
                source.parse(document, index)

    whatever()


def test_no_header_proves_anything_or_breaks_the_check() -> None:
    feeds = [(_feed(source), source) for source in SOURCES.values()]

    @patient(400)
    @given(told=headers, body=st.binary(max_size=50))
    def whatever(told: dict[str, str], body: bytes) -> None:
        request = Request("POST", told, body, {})
        for feed, source in feeds:
            answer = receive(feed, source, request, now=NOW)
            assert isinstance(answer, Refusal), source.name

    whatever()


@patient(800)
@given(
    told=headers,
    chunks=st.lists(st.binary(max_size=LIMIT), max_size=4),
    packed=st.booleans(),
)
def test_a_body_is_read_within_its_limit_or_refused(
    told: dict[str, str], chunks: list[bytes], packed: bool
) -> None:
    if packed:
        chunks, told = [gzip.compress(b"".join(chunks))], {**told, "content-encoding": "gzip"}
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left.append({"type": "http.request", "body": b"", "more_body": False})
    messages = iter(left)

    async def receive_() -> Any:
        return next(messages)

    with suppress(TooLargeError, EncodingError):
        assert len(asyncio.run(read_body(told, receive_, limit=LIMIT))) <= LIMIT


@patient(800)
@given(st.binary(max_size=200) | anything.map(lambda v: json.dumps(v).encode()))
def test_passwords_are_cut_and_foreign_messages_named_whatever_they_are(body: bytes) -> None:
    cut, _ = cut_passwords(body)
    assert isinstance(cut, bytes)
    assert _why(body)


def test_http_never_answers_500(rosterd: Rosterd) -> None:
    feeds = [rosterd.account()]
    for name in ("workos", "okta"):
        scope = "assignment:app" if name == "okta" else None
        feeds.append(rosterd.connect(_account(rosterd, name), source=name, scope=scope))
    paths = st.sampled_from([feed.path for feed in feeds]) | st.sampled_from(
        ["/hooks/", "/hooks/x", "/invitations/x", "/email-changes/x", "/sign-in/x", "/metrics", "/"]
    )
    safe = headers.map(lambda told: {k: v for k, v in told.items() if k != "content-length"})

    @patient(300)
    @given(
        method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "DELETE", "HEAD"]),
        path=paths | st.text(st.characters(codec="ascii"), max_size=20).map(_path),
        told=safe,
        body=st.binary(max_size=100),
    )
    def whatever(method: str, path: str, told: dict[str, str], body: bytes) -> None:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
        with suppress(ValueError):  # the client itself refuses a line break in a header
            status = rosterd.http.request(method, path, content=body, headers=raw).status_code
            assert status < 500, (method, path, told)

    whatever()
    assert rosterd.events() == [], "nothing of it was stored"


def _account(rosterd: Rosterd, name: str) -> str:
    with rosterd.setup() as use:
        use.add_account(name, owner=None, domains=[], parent=None, several=False)
    return name


def _path(text: str) -> str:
    return "/" + "".join(c for c in text if c.isalnum() or c in "/._-%")


def _feed(source: Source) -> FeedView:
    trust = {"issuer": "i", "audience": "a", "jwks_url": "https://idp.example.com/jwks"}
    told = source.credential(None, trust if source.name == "set" else {})
    secret = SigningSecret("sec", told, read_keys(Transmitter().jwks))
    return FeedView(
        id="fed", connection="con", account="acc", source="", is_held=False, secrets=(secret,)
    )


class _Trusting:
    """The source, for which every request is authentic: what lies behind the check is tried."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def verify(self, _request: Request, secrets: Any, _now: datetime) -> SigningSecret:
        found: SigningSecret = secrets[0]
        return found


@pytest.mark.parametrize("users", [None, 7, "u1", {}])
def test_a_write_of_scim_that_lists_no_members_is_told_apart(users: object) -> None:
    """Stored by another version, or mended by hand: a dead letter that says why."""
    change = {"change": "ReplaceMembers", "group": "g", "users": users}
    with pytest.raises(UnparseableError):
        SOURCES["scim"].parse({"request": {}, "changes": [change]}, 0)
