"""Every source against requests in which one bit is another: none is taken for another request."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson
import pytest

from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Request,
    SigningSecret,
    Source,
    UnparseableError,
)
from tests.fuzz.shapes import SHAPES
from tests.transmitter import AUDIENCE, ISSUER, Transmitter
from tests.unit.adapters.sources.asking import NOW
from worker.adapters.sources import jws
from worker.adapters.sources.registry import SOURCES
from worker.cli.signing import SIGN

TRUST = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://idp.example.com/jwks"}
#: A header that is the secret itself says nothing of the body.
STATIC = {name for name, source in SOURCES.items() if source.has_static_secret}
PROVEN = [*SIGN, "set", "fusionauth by a published key"]


def genuine(name: str) -> tuple[Source, SigningSecret, Request]:
    """A request as the source's senders make it, and what proves it."""
    source = SOURCES[name.partition(" ")[0]]
    document = SHAPES[source.name][0]
    body = orjson.dumps(document)
    if name in SIGN:
        secret = SigningSecret("k", source.new_secret())
        return source, secret, Request("POST", SIGN[name](secret.value, body, NOW), body)
    sender = Transmitter()
    secret = SigningSecret("k", source.credential(None, TRUST), jws.read_keys(sender.jwks))
    if name == "set":
        return source, secret, Request("POST", {}, sender.signed({**document, "aud": AUDIENCE}))
    headers = {"x-fusionauth-signature-jwt": sender.of_body(body)}
    return source, secret, Request("POST", headers, body)


def flips(raw: bytes) -> Iterator[bytes]:
    """Each bit once, of up to 300 bytes chosen the same each time."""
    places = list(range(len(raw)))
    if len(raw) > 300:
        places = random.Random(7).sample(places, 300)
    for place in places:
        for bit in range(8):
            yield raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]


def seen(source: Source, request: Request) -> list[tuple[str, object, bytes]]:
    """What makes the request's events what they are."""
    body, _ = source.opened(request.body)
    try:
        events = source.split(source.read(body), replace(request, body=body))
    except UnparseableError:
        return []
    return [(one.id, one.occurred_at, one.content) for one in events]


def is_taken(source: Source, secret: SigningSecret, request: Request) -> bool:
    try:
        return source.verify(request, [secret], NOW) is secret
    except (NotAuthenticError, KeysNeededError):
        return False


@pytest.mark.parametrize("name", [name for name in PROVEN if name not in STATIC])
def test_no_other_body_is_taken(name: str) -> None:
    source, secret, good = genuine(name)
    assert is_taken(source, secret, good)
    expected = seen(source, good)
    for body in flips(good.body):
        other = replace(good, body=body)
        # Of a token the last letter holds bits that no decoder looks at.
        assert not is_taken(source, secret, other) or (
            name == "set" and seen(source, other) == expected
        )


@pytest.mark.parametrize("name", [name for name in PROVEN if name != "set"])
def test_no_other_header_makes_it_another_event(name: str) -> None:
    source, secret, good = genuine(name)
    expected = seen(source, good)
    for header, value in good.headers.items():
        for text in flips(value.encode()):
            headers: Mapping[str, str] = {**good.headers, header: text.decode("latin-1")}
            other = replace(good, headers=headers)
            # The same signature may be written in other letters; what it says is the same.
            assert not is_taken(source, secret, other) or seen(source, other) == expected


@pytest.mark.parametrize("name", PROVEN)
def test_nothing_is_taken_without_its_proof(name: str) -> None:
    source, secret, good = genuine(name)
    for header in good.headers:
        rest = {key: value for key, value in good.headers.items() if key != header}
        assert not is_taken(source, secret, replace(good, headers=rest))
    assert not is_taken(source, SigningSecret("none", ""), good)
