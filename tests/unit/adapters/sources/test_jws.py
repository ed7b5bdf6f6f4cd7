"""Tokens of senders with keys of their own: which key, which algorithm, and no confusion."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from domain.ports import KeysNeededError, NotAuthenticError, SigningSecret
from tests.transmitter import Transmitter
from worker.adapters.sources import jws
from worker.adapters.sources.trust import Trust

URL = "https://idp.example.com/jwks.json"
TRUST = Trust(jwks_url=URL).text


def secret_of(transmitter: Transmitter) -> SigningSecret:
    return SigningSecret("k", TRUST, jws.read_keys(transmitter.jwks))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "RS512", "PS384", "EdDSA"])
def test_every_usual_algorithm_proves(algorithm: str) -> None:
    sender = Transmitter(algorithm)
    secret = secret_of(sender)
    signed = jws.opened(sender.signed({"a": 1}), secret)
    assert signed.claims == {"a": 1}
    assert signed.header["alg"] == algorithm
    assert secret.keys is not None
    assert jws.opened(sender.signed({"a": 2}), secret).claims == {"a": 2}


def test_each_changed_character_of_payload_or_signature_is_refused() -> None:
    sender = Transmitter()
    secret, token = secret_of(sender), sender.signed({"a": "b" * 20})
    start = token.index(b".") + 1
    for place in range(start, len(token) - 1):
        other = b"A" if token[place : place + 1] != b"A" else b"B"
        changed = token[:place] + other + token[place + 1 :]
        with pytest.raises(NotAuthenticError):
            jws.opened(changed, secret)


def test_a_public_key_is_no_secret_for_hmac() -> None:
    """The oldest trick: HS256 with the published key as the key of the HMAC."""
    sender = Transmitter("RS256")
    public = sender.keys["key-1"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = (_part({"alg": "HS256", "kid": "key-1"}), _part({"a": 1}))
    for key in (pem, sender.jwks, json.dumps(sender.published[0]).encode(), b""):
        mark = hmac.digest(key, head + b"." + body, hashlib.sha256)
        with pytest.raises(NotAuthenticError):
            jws.opened(head + b"." + body + b"." + _encoded(mark), secret_of(sender))


@pytest.mark.parametrize("algorithm", ["none", "NONE", "", None, "HS256", "RS256", 7, ["ES256"]])
def test_no_other_algorithm_than_the_keys_own(algorithm: Any) -> None:
    sender = Transmitter()
    head, body = _part({"alg": algorithm, "kid": "key-1"}), _part({"a": 1})
    for mark in (b"", _encoded(b"x" * 64)):
        with pytest.raises(NotAuthenticError):
            jws.opened(head + b"." + body + b"." + mark, secret_of(sender))


def test_unknown_key_is_to_be_read_known_one_that_does_not_fit_is_refused() -> None:
    sender = Transmitter()
    token, secret = sender.signed({"a": 1}), secret_of(sender)
    with pytest.raises(KeysNeededError) as needed:
        jws.opened(token, SigningSecret("k", TRUST))
    assert needed.value.url == URL
    sender.rotate("key-2")
    with pytest.raises(KeysNeededError):
        jws.opened(sender.signed({"a": 1}), secret)
    assert jws.opened(sender.signed({"a": 1}), secret_of(sender)).claims == {"a": 1}
    assert jws.opened(token, secret_of(sender)).claims == {"a": 1}, "the old one is published still"
    del sender.published[0]
    with pytest.raises(KeysNeededError):
        jws.opened(token, secret_of(sender))
    stranger = Transmitter()
    with pytest.raises(NotAuthenticError):
        jws.opened(stranger.signed({"a": 1}), secret)


def test_of_several_keys_without_ids_the_fitting_one_proves() -> None:
    sender = Transmitter()
    sender.rotate("key-2")
    for jwk in sender.published:
        del jwk["kid"]
    token = sender.signed({"a": 1}, kid="key-1")
    head = json.loads(base64.urlsafe_b64decode(token.split(b".")[0] + b"=="))
    assert head["kid"] == "key-1"
    with pytest.raises(KeysNeededError):
        jws.opened(token, secret_of(sender))
    plain = jwt.PyJWS().encode(b"{}", sender.keys["key-2"], "ES256").encode()
    assert jws.opened(plain, secret_of(sender)).claims == {}


def test_keys_that_are_not_meant_for_signatures_are_passed_by() -> None:
    sender = Transmitter()
    token = sender.signed({"a": 1})
    for member in ({"use": "enc"}, {"alg": "ES384"}, {"kty": "oct"}, {"crv": "P-384"}, {"x": "!"}):
        key = SigningSecret("k", TRUST, jws.Keys(({**sender.published[0], **member},)))
        with pytest.raises(NotAuthenticError):
            jws.opened(token, key)


def test_rsa_below_2048_bits_proves_nothing() -> None:
    sender = Transmitter("RS256")
    small = rsa.generate_private_key(65537, 1024)
    sender.keys["key-1"] = small
    jwk = RSAAlgorithm.to_jwk(small.public_key(), as_dict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = sender.signed({"a": 1})
    with pytest.raises(NotAuthenticError) as refusal:
        jws.opened(token, SigningSecret("k", TRUST, jws.Keys(({**jwk, "kid": "key-1"},))))
    assert refusal.value.why == "invalid_key"


def test_shared_secret_proves_and_neither_an_empty_nor_a_short_one() -> None:
    good = "s" * 64
    for algorithm in ("HS256", "HS384", "HS512"):
        token = jwt.encode({"a": 1}, good, algorithm).encode()
        assert jws.opened(token, SigningSecret("k", good)).claims == {"a": 1}
    token = jwt.encode({"a": 1}, good, "HS256").encode()
    with pytest.raises(NotAuthenticError):
        jws.opened(token, SigningSecret("k", "t" * 64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = jwt.encode({"a": 1}, "short", "HS256").encode()
    head, body = _part({"alg": "HS256"}), _part({"a": 1})
    mark = hmac.digest(b"", head + b"." + body, hashlib.sha256)
    for forged, key in ((short, "short"), (head + b"." + body + b"." + _encoded(mark), "")):
        with pytest.raises(NotAuthenticError):
            jws.opened(forged, SigningSecret("k", key))


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"a.b.c",
        b"\xff.\xff.\xff",
        b"e30.e30.e30",
        b"." * 1000,
        b"W10.e30.",
        base64.urlsafe_b64encode(b"[" * 5000).rstrip(b"=") + b".e30.AAAA",
        base64.urlsafe_b64encode(b'{"alg":"ES256","crit":["exp"]}').rstrip(b"=") + b".e30.AAAA",
        base64.urlsafe_b64encode(b'{"alg":"ES256","kid":{}}').rstrip(b"=") + b".e30.AAAA",
        base64.urlsafe_b64encode(b'{"alg":"ES256","b64":false}').rstrip(b"=") + b"..AAAA",
    ],
)
def test_whatever_is_no_token_is_only_ever_refused(token: bytes) -> None:
    sender = Transmitter()
    for secret in (secret_of(sender), SigningSecret("k", "s" * 40), SigningSecret("k", "")):
        with pytest.raises(NotAuthenticError):
            jws.opened(token, secret)


def test_first_of_several_that_proves_and_keys_asked_for_only_if_none_does() -> None:
    sender, other = Transmitter(), Transmitter()
    known, unread = secret_of(sender), SigningSecret("n", TRUST)
    token = sender.signed({"a": 1})
    assert jws.prove(token, [unread, known])[0] is known
    assert jws.prove(token, [secret_of(other), known])[0] is known
    with pytest.raises(KeysNeededError):
        jws.prove(token, [secret_of(other), unread])
    with pytest.raises(NotAuthenticError):
        jws.prove(token, [])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[1]}', b"\xff"]
)
def test_what_is_no_key_set_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"key set|JSON"):
        jws.read_keys(body)


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _part(value: object) -> bytes:
    return _encoded(json.dumps(value).encode())
