"""Proof of the `standard` source: what proves, what does not, and how it says so."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.ports import NotAuthenticError, Request, SigningSecret
from worker.adapters.sources.standard import StandardSource

SOURCE = StandardSource()
Send = Callable[..., Request]


def refusal(request: Request, secrets: list[SigningSecret], now: datetime) -> str:
    with pytest.raises(NotAuthenticError) as refused:
        SOURCE.verify(request, secrets, now)
    return refused.value.reason


def with_header(request: Request, name: str, value: str) -> Request:
    return replace(request, headers={**request.headers, name: value})


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_good_signature_names_the_secret(
    send_standard: Send, whsec: SigningSecret, now: datetime, prefix: str
) -> None:
    request = send_standard({"type": "x"}, prefix=prefix)
    other = SigningSecret("key-0", "whsec_" + base64.b64encode(b"another key").decode())
    assert SOURCE.verify(request, [other, whsec], now) is whsec
    assert SOURCE.event_id(request) == "m1"


@pytest.mark.parametrize(
    ("seconds", "good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)]
)
def test_only_a_fresh_signature_proves(
    send_standard: Send, whsec: SigningSecret, now: datetime, seconds: int, good: bool
) -> None:
    request = send_standard(b"{}", at=now + timedelta(seconds=seconds))
    if good:
        assert SOURCE.verify(request, [whsec], now) is whsec
    else:
        assert refusal(request, [whsec], now) == "stale"


def test_old_and_wrong_is_wrong(send_standard: Send, whsec: SigningSecret, now: datetime) -> None:
    request = replace(send_standard(b"{}", at=now - timedelta(days=1)), body=b"[]")
    assert refusal(request, [whsec], now) == "wrong"


@pytest.mark.parametrize("part", ["id", "timestamp", "signature"])
def test_missing_header_is_told(
    send_standard: Send, whsec: SigningSecret, now: datetime, part: str
) -> None:
    request = send_standard(b"{}")
    headers = {name: text for name, text in request.headers.items() if not name.endswith(part)}
    assert refusal(replace(request, headers=headers), [whsec], now) == "missing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "m2"),
        ("webhook-timestamp", "1773045001"),
        ("webhook-timestamp", "1773045000.5"),
        ("webhook-timestamp", " 1773045000 "),
        ("webhook-timestamp", "1773_045000"),
        ("webhook-timestamp", "\u0661\u0662"),
        ("webhook-timestamp", "\xb2"),
        ("webhook-timestamp", "9" * 5_000),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "soon"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1"),
        ("webhook-signature", "no comma here"),
        ("webhook-signature", "v1,a,b  v1,,"),
        ("webhook-signature", "v1,\xe4\xf6\xfc"),
        ("webhook-signature", "v1,abc"),
        ("webhook-signature", "\ud800"),
        ("webhook-id", "\ud800"),
        ("webhook-id", "\U0001f600"),
    ],
)
def test_tampered_header_is_wrong(
    send_standard: Send, whsec: SigningSecret, now: datetime, name: str, value: str
) -> None:
    assert refusal(with_header(send_standard(b"{}"), name, value), [whsec], now) == "wrong"


def test_garbage_beside_a_good_signature_spoils_nothing(
    send_standard: Send, whsec: SigningSecret, now: datetime
) -> None:
    request = send_standard(b"{}")
    mixed = "garbage v1,%%% v2,AAAA  " + request.headers["webhook-signature"]
    assert SOURCE.verify(with_header(request, "webhook-signature", mixed), [whsec], now) is whsec


def test_good_signature_under_another_version_is_wrong(
    send_standard: Send, whsec: SigningSecret, now: datetime
) -> None:
    request = send_standard(b"{}")
    renamed = request.headers["webhook-signature"].replace("v1,", "v1a,")
    assert refusal(with_header(request, "webhook-signature", renamed), [whsec], now) == "wrong"


def test_unsigned_id_cannot_replace_the_signed_one(
    send_standard: Send, whsec: SigningSecret, now: datetime
) -> None:
    replayed = with_header(send_standard(b"{}", prefix="svix"), "webhook-id", "fresh")
    assert refusal(replayed, [whsec], now) == "missing"


def test_body_that_is_no_utf8_can_be_authentic(whsec: SigningSecret, now: datetime) -> None:
    body, at = b"\xff\xfe", str(int(now.timestamp()))
    key = base64.b64decode(whsec.value.removeprefix("whsec_"))
    digest = hmac.digest(key, b"m1." + at.encode() + b"." + body, hashlib.sha256)
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
    assert SOURCE.verify(Request("POST", headers, body), [whsec], now) is whsec


@pytest.mark.parametrize(
    "value", ["", "whsec_", "whsec_====", "whsec_%%%", "\xe4", "whpk_", "whpk_AAAA", "="]
)
def test_useless_secret_never_matches(now: datetime, value: str) -> None:
    at = str(int(now.timestamp()))
    digest = base64.b64encode(hmac.digest(b"", f"m1.{at}.{{}}".encode(), "sha256")).decode()
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{digest} v1a,{digest}",
    }
    assert refusal(Request("POST", headers, b"{}"), [SigningSecret("k", value)], now) == "wrong"


def test_no_secret_never_matches(send_standard: Send, now: datetime) -> None:
    assert refusal(send_standard(b"{}"), [], now) == "wrong"


@pytest.fixture
def asymmetric(now: datetime) -> tuple[Request, SigningSecret]:
    key = Ed25519PrivateKey.generate()
    at = str(int(now.timestamp()))
    signature = key.sign(f"m1.{at}.{{}}".encode())
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": at,
        "webhook-signature": "v1a," + base64.b64encode(signature).decode(),
    }
    return Request("POST", headers, b"{}"), SigningSecret("k", "whpk_" + public)


def test_ed25519_signature_proves(asymmetric: tuple[Request, SigningSecret], now: datetime) -> None:
    request, secret = asymmetric
    assert SOURCE.verify(request, [secret], now) is secret
    assert refusal(replace(request, body=b"[]"), [secret], now) == "wrong"
    assert refusal(request, [secret], now + timedelta(minutes=6)) == "stale"
    renamed = request.headers["webhook-signature"].replace("v1a,", "v1,")
    assert refusal(with_header(request, "webhook-signature", renamed), [secret], now) == "wrong"


def test_public_key_is_no_hmac_key(
    asymmetric: tuple[Request, SigningSecret], now: datetime
) -> None:
    request, secret = asymmetric
    key = base64.b64decode(secret.value.removeprefix("whpk_"))
    digest = hmac.digest(key, f"m1.{request.headers['webhook-timestamp']}.{{}}".encode(), "sha256")
    forged = "v1," + base64.b64encode(digest).decode()
    assert refusal(with_header(request, "webhook-signature", forged), [secret], now) == "wrong"


def test_new_secret_signs(send_standard: Send, now: datetime) -> None:
    secret = SigningSecret("k", SOURCE.new_secret())
    assert len(base64.b64decode(secret.value.removeprefix("whsec_"))) == 32
    assert SOURCE.verify(send_standard(b"{}", secret=secret.value), [secret], now) is secret
