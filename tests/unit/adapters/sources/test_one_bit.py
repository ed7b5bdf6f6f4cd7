"""Every source against requests in which one bit is another: none is taken for another request."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from domain.ports import SigningSecret
from tests.fuzz.genuine import PROVEN, STATIC, genuine, is_taken, seen


def flips(raw: bytes) -> Iterator[bytes]:
    """Each bit once, of up to 300 bytes chosen the same each time."""
    places = list(range(len(raw)))
    if len(raw) > 300:
        places = random.Random(7).sample(places, 300)
    for place in places:
        for bit in range(8):
            yield raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]


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
