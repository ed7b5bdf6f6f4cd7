"""Every source against thousands of damaged and forged requests: no exception, none taken for true.

A few hundred for each way of proving in every run, the same ones; ten thousand, and new ones, by
ROSTERD_TEST_EXPLORE=1 pytest tests/fuzz/test_mutated_requests.py -s, which prints how they fared.
"""

from __future__ import annotations

import json
import random
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from domain.intake import FeedView, Submission
from domain.ports import (
    KeysNeededError,
    Request,
    SigningSecret,
    Source,
    UnparseableError,
)
from tests.exploring import EXPLORE
from tests.fuzz.genuine import STATIC, WAYS, genuine, is_taken, seen, shapes_of
from tests.unit.adapters.sources.asking import NOW
from worker.services.receive import Refusal, receive

MANY, FEW = 10_000, 300
ODD: list[Any] = [
    *(None, True, 0, -1, 10**18, 1.5, "", "x", "\ud800", "\x00", "A" * 5000, [], {}, [[]]),
]
ODD_BYTES = [
    *(b"", b"\x00", b"\xff\xfe", b"{}", b"[]", b"null", b'{"a":' * 70, b"NaN", b"\xef\xbb\xbf{}"),
]
ODD_TEXTS = [
    *("", " ", "Bearer", "v1,", "t=0,v1=", "=,=,=", "\xe9", "a.b.c", "9" * 400, "t=1,v1=zz"),
    *("ey.ey.ey", "eyJhbGciOiJub25lIn0.e30.", "Bearer eyJhbGciOiJub25lIn0.e30."),
]


@dataclass(frozen=True)
class Case:
    """A request that proves itself, another of the same sender, and what proves both."""

    source: Source
    secret: SigningSecret
    good: Request
    other: Request
    chance: random.Random


def bits(case: Case, request: Request) -> Request:
    body = bytearray(request.body)
    for _ in range(case.chance.randint(1, 4)):
        if body:
            body[case.chance.randrange(len(body))] ^= 1 << case.chance.randrange(8)
    return replace(request, body=bytes(body))


def cut(case: Case, request: Request) -> Request:
    first, last = sorted(case.chance.choices(range(len(request.body) + 1), k=2))
    kept = case.chance.choice([request.body[:first], request.body[first:last], request.body[last:]])
    return replace(request, body=kept)


def doubled(case: Case, request: Request) -> Request:
    first, last = sorted(case.chance.choices(range(len(request.body) + 1), k=2))
    return replace(request, body=request.body[:last] + request.body[first:])


def odd_body(case: Case, request: Request) -> Request:
    return replace(request, body=case.chance.choice(ODD_BYTES))


def around(case: Case, request: Request) -> Request:
    """The same document in other bytes: what was signed is not what a parser sees."""
    ends = [b" ", b"\n", b"\t", b"\r\n", b"\x00", b","]
    edge = case.chance.choice(ends)
    return replace(request, body=case.chance.choice([edge + request.body, request.body + edge]))


def member(case: Case, request: Request) -> Request:
    """One value in the document is another, or gone, or there twice."""
    try:
        document = json.loads(request.body)
    except ValueError:
        return bits(case, request)
    parent, key = _place(case.chance, document)
    if parent is None:
        return odd_body(case, request)
    if case.chance.random() < 0.2:
        del parent[key]
    else:
        parent[key] = case.chance.choice(ODD)
    return replace(request, body=json.dumps(document).encode())


def _place(chance: random.Random, node: Any) -> tuple[Any, Any]:
    """A container and a key in it, at a depth by chance."""
    parent, key = None, None
    while isinstance(node, dict | list) and node and (parent is None or chance.random() < 0.8):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        parent, key = node, chance.choice(keys)
        node = parent[key]
    return parent, key


def header(case: Case, request: Request) -> Request:
    """One header is another by a letter, or by much."""
    if not request.headers:
        return bits(case, request)
    name = case.chance.choice(list(request.headers))
    value = request.headers[name]
    at = case.chance.randrange(len(value) + 1)
    letter = chr(case.chance.randrange(256))
    ends = [value[:at] + letter + value[at + 1 :], value[:at], value[at:], value + value]
    told = case.chance.choice([*ends, *ODD_TEXTS])
    return replace(request, headers={**request.headers, name: told})


def bare(case: Case, request: Request) -> Request:
    """A proof is missing, or a stranger's."""
    told = {n: v for n, v in request.headers.items() if case.chance.random() < 0.5}
    strange = {"authorization": f"Bearer {b64encode(case.chance.randbytes(24)).decode()}"}
    return replace(request, headers=told | (strange if case.chance.random() < 0.5 else {}))


def swapped(case: Case, request: Request) -> Request:
    """The proof of one request with the body of another of the same sender."""
    return replace(request, body=case.other.body)


def method(case: Case, request: Request) -> Request:
    return replace(request, method=case.chance.choice(["GET", "PUT", "OPTIONS", "", "\xe9"]))


WAYS_TO_BREAK: list[Callable[[Case, Request], Request]] = [
    *(bits, cut, doubled, odd_body, around, member, member, header, header, bare, swapped, method)
]


def broken(case: Case) -> Request:
    """A request that is not the one that was proven, in one to three ways."""
    request = case.good
    for _ in range(case.chance.choice([1, 1, 1, 2, 3])):
        request = case.chance.choice(WAYS_TO_BREAK)(case, request)
    return request


def made(name: str, shape: int, chance: random.Random) -> Case:
    source, secret, good = genuine(name, shape)
    _, _, other = genuine(name, (shape + 1) % len(shapes_of(name)))
    if other.body == good.body:
        other = replace(other, body=other.body.replace(b"u", b"w", 1))
    return Case(source, secret, good, other, chance)


@pytest.mark.parametrize("name", WAYS)
def test_none_breaks_the_adapter_and_none_is_taken_for_true(name: str) -> None:
    count = MANY * EXPLORE or FEW
    chance = random.Random(None if EXPLORE else name)
    shapes = len(shapes_of(name))
    fared: Counter[str] = Counter()
    began = time.monotonic()
    for shape in range(shapes):
        case = made(name, shape, chance)
        assert is_taken(case.source, case.secret, case.good)
        expected = seen(case.source, case.good)
        for _ in range(-(-count // shapes)):
            request = broken(case)
            fared[_received(case, request, expected)] += 1
            _understood(case.source, request)
    assert sum(fared.values()) >= count
    if EXPLORE:
        told = ", ".join(f"{number:,} {what}" for what, number in sorted(fared.items()))
        sys.stdout.write(f"\n{name}: {told}; {time.monotonic() - began:.0f} s\n")


def _received(case: Case, request: Request, expected: list[Any]) -> str:
    """How it fared at the front door; whatever is forged and taken fails the test."""
    feed = FeedView("fed", "con", "acc", case.source.name, is_held=False, secrets=(case.secret,))
    try:
        taken = receive(feed, case.source, request, now=NOW)
    except KeysNeededError:
        return "refused"
    if isinstance(taken, Refusal):
        return "refused"
    if not isinstance(taken, Submission):
        return "answered"
    if case.source.name in STATIC:
        # Whoever shows the secret is believed, whatever they say (U8).
        shown = [*map(str, request.headers.values()), request.body.decode("latin-1")]
        assert any(case.secret.value in one for one in shown), request
        return "taken by its secret"
    assert seen(case.source, request) == expected, request
    return "taken, for it says the same"


def _understood(source: Source, request: Request) -> None:
    """As if it had been proven: what lies behind the check."""
    body, _ = source.opened(source.content(request))
    with suppress(UnparseableError):
        document = source.read(body)
        split = source.split(document, replace(request, body=body))
        assert all(event.id for event in split)
    with suppress(UnparseableError):
        document = source.read(body)
        for index in range(3):
            with suppress(UnparseableError):
                source.parse(document, index)


@pytest.mark.parametrize("name", [way for way in WAYS if way.partition(" ")[0] not in STATIC])
def test_what_was_proven_long_ago_is_refused_where_a_time_is_proven(name: str) -> None:
    source, secret, good = genuine(name)
    feed = FeedView("fed", "con", "acc", source.name, is_held=False, secrets=(secret,))
    late = receive(feed, source, good, now=NOW + timedelta(days=2))
    # Whose proof bears no time, or whose keys are asked for anew, can only be known by its id.
    timeless = {"keycloak", "set", "fusionauth", "fusionauth by a published key"}
    assert isinstance(late, Submission if name in timeless else Refusal)


def test_nothing_of_a_secret_is_told_where_something_is_refused() -> None:
    for name in WAYS:
        source, secret, good = genuine(name)
        told: Mapping[str, Any] = {"feed": secret, "source": source}
        feed = FeedView("fed", "con", "acc", source.name, is_held=False, secrets=(secret,))
        refusal = receive(feed, source, replace(good, headers={}, body=b"{}"), now=NOW)
        assert secret.value not in repr((refusal, told, feed))
