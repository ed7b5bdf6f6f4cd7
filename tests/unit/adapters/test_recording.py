"""What is said beside a disguised request: whether it is still the same, and what is kept back."""

from __future__ import annotations

import json
from base64 import b64encode

from domain.disguise import Disguise
from worker.adapters.recording import recorded
from worker.adapters.sources.registry import SOURCES

PLAIN = {"content-type": "application/json"}


def zitadel(payload: bytes) -> bytes:
    document = {
        "aggregateID": "u1",
        "aggregateType": "user",
        "instanceID": "i1",
        "sequence": 7,
        "event_type": "user.human.added",
        "created_at": "2026-03-09T08:30:00Z",
        "event_payload": b64encode(payload).decode(),
    }
    return json.dumps(document).encode()


def test_what_its_source_takes_for_the_same_says_so() -> None:
    body = zitadel(json.dumps({"email": "ana@acme.org", "firstName": "Ana"}).encode())
    made = recorded(SOURCES["zitadel"], PLAIN, body, Disguise(b"key"))
    assert made.is_faithful
    assert [one["changes"] for one in made.asked] == [["ProvisionUser"]]
    assert made.body is not None
    assert b"acme" not in made.body


def test_what_it_does_not_take_for_the_same_says_so() -> None:
    """A document too short to be told from a word is rewritten like one."""
    made = recorded(SOURCES["zitadel"], PLAIN, zitadel(b'{"a":1}'), Disguise(b"key"))
    assert made.body is not None
    assert not made.is_faithful


def test_in_which_an_address_is_left_is_given_to_nobody() -> None:
    headers = {"content-type": 'application/json; owner="ana@acme.org"'}
    body = zitadel(json.dumps({"email": "ana@acme.org"}).encode())
    made = recorded(SOURCES["zitadel"], headers, body, Disguise(b"key"))
    assert made.body is None
    assert (made.headers, made.asked) == ({}, [])
    assert "acme" not in repr(made)
