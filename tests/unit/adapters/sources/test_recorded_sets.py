"""The tokens and claims that standards and others published, each with a verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain import changes as c
from domain.inbox import Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from tests.transmitter import Transmitter
from worker.adapters.sources import jws
from worker.adapters.sources.set import SetSource

SOURCE = SetSource()
NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
#: Changes; or the place where a suspension names nobody; or why nothing is to be done.
Verdict = list[type] | str | Reason
NOTHING, SIGNAL = Reason.NO_DIRECTORY_CHANGE, "signal"

VERDICTS: Mapping[str, Mapping[str, Verdict]] = {
    "scim-events": {
        "prov-create-full": [c.ProvisionUser],
        "prov-put-full": [c.ProvisionUser],
        "prov-patch-full": [c.AddMember],
        "prov-delete": [c.SuspendUser],
        "prov-activate": [c.ReactivateUser],
        **dict.fromkeys([f"prov-{verb}-notice" for verb in ("create", "put", "patch")], NOTHING),
        **dict.fromkeys(["feed-add", "feed-remove", "misc-asyncresp"], NOTHING),
        **dict.fromkeys([f"misc-asyncresp-{number}" for number in range(2, 7)], NOTHING),
    },
    "ssf": {
        "risc-account-disabled": [c.SuspendUser],
        "risc-account-disabled-1": "sub_id",
        "risc-account-enabled-1": [c.ReactivateUser],
        "risc-identifier-changed": [c.ChangeEmail],
        **dict.fromkeys(["ssf-verification-1", "ssf-verification-2"], NOTHING),
        "ssf-stream-updated-1": NOTHING,
        **dict.fromkeys(
            [f"caep-session-{what}" for what in ("established-1", "presented-1")], SIGNAL
        ),
        **dict.fromkeys([f"caep-session-revoked-{number}" for number in range(1, 5)], SIGNAL),
        **dict.fromkeys([f"caep-token-claims-change-{number}" for number in range(1, 7)], SIGNAL),
        **dict.fromkeys([f"caep-assurance-level-change-{number}" for number in (1, 2)], SIGNAL),
        "caep-credential-change-1": SIGNAL,
        "caep-device-compliance-change-1": SIGNAL,
        "caep-risk-level-change-1": SIGNAL,
        "risc-account-credential-change-required": SIGNAL,
        "risc-credential-compromise": SIGNAL,
        "risc-identifier-recycled": SIGNAL,
    },
}
CASES = [(folder, name) for folder, bodies in VERDICTS.items() for name in bodies]


def recorded(payloads: Path, folder: str, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((payloads / folder / f"{name}.json").read_bytes())
    return document


@pytest.mark.parametrize(("folder", "name"), CASES, ids=[f"{f}-{n}" for f, n in CASES])
def test_recorded_claims_signed_by_a_key_of_ours(payloads: Path, folder: str, name: str) -> None:
    claims, sender = recorded(payloads, folder, name), Transmitter()
    audience = claims["aud"][-1] if isinstance(claims["aud"], list) else claims["aud"]
    trust = {"issuer": claims["iss"], "audience": audience, "jwks_url": "https://idp.example.com"}
    secret = SigningSecret("k", SOURCE.credential(None, trust), jws.read_keys(sender.jwks))
    request = Request("POST", {}, sender.signed(claims))
    assert SOURCE.verify(request, [secret], NOW) is secret
    document = SOURCE.read(SOURCE.opened(request.body)[0])
    (split,) = SOURCE.split(document, request)
    assert split.occurred_at is not None
    verdict = VERDICTS[folder][name]
    if verdict == "sub_id":
        with pytest.raises(UnparseableError) as refusal:
            SOURCE.parse(document, 0)
        assert refusal.value.place == verdict
        return
    parsed = SOURCE.parse(document, 0)
    if verdict == SIGNAL:
        assert parsed == Parsed(ignored=NOTHING, signal=parsed.signal)
        assert parsed.signal is not None
    elif isinstance(verdict, Reason):
        assert parsed == Parsed(ignored=verdict)
    else:
        assert [type(change) for change in parsed.changes] == verdict
        assert split.subject


NO_TOKENS = {f"duo-example-{what}" for what in ("jwks", "polling-response", "stream-config")} | {
    "duo-example-transmitter-config",
    "signed-set-es256-jwks",
}


@pytest.mark.parametrize("folder", VERDICTS)
def test_no_recorded_claims_are_without_a_verdict(payloads: Path, folder: str) -> None:
    found = {it.stem for it in (payloads / folder).glob("*.json")}
    assert found - NO_TOKENS == set(VERDICTS[folder])


def vectors(payloads: Path) -> dict[str, dict[str, Any]]:
    listed = json.loads((payloads / "vectors/signature-vectors.json").read_bytes())
    return {one["name"]: one for one in listed if one["scheme"].startswith("JWS")}


def test_every_published_token_is_tried(payloads: Path) -> None:
    assert set(vectors(payloads)) == {"set-es256", "set-hs256-unknown-key"}


def test_published_token_is_proven_by_its_published_keys(payloads: Path) -> None:
    vector = vectors(payloads)["set-es256"]
    token = (payloads / vector["token_file"]).read_bytes()
    keys = jws.read_keys((payloads / vector["jwks_file"]).read_bytes())
    trust = {
        "issuer": vector["issuer"],
        "audience": vector["audience"],
        "jwks_url": "https://most-secure.com/jwks.json",
    }
    secret = SigningSecret("k", SOURCE.credential(None, trust), keys)
    assert SOURCE.verify(Request("POST", {}, token), [secret], NOW) is secret
    document = SOURCE.read(SOURCE.opened(token)[0])
    assert SOURCE.parse(document, 0) == Parsed(ignored=NOTHING), "verification of a stream"
    for other in ("issuer", "audience"):
        wrong = SOURCE.credential(None, trust | {other: "https://else.example.com/"})
        with pytest.raises(NotAuthenticError) as refusal:
            SOURCE.verify(Request("POST", {}, token), [SigningSecret("k", wrong, keys)], NOW)
        assert refusal.value.why == f"invalid_{other}"


def test_published_token_with_hmac_is_refused(payloads: Path) -> None:
    vector = vectors(payloads)["set-hs256-unknown-key"]
    file, _, path = vector["token_file"].partition("#/sets/")
    token = json.loads((payloads / file).read_bytes())["sets"][path].encode()
    keys = jws.read_keys((payloads / vector["jwks_file"]).read_bytes())
    trust = {
        "issuer": "https://transmitter.most-secure.com/",
        "audience": "https://popular-app.com",
        "jwks_url": "https://most-secure.com/jwks.json",
    }
    secret = SigningSecret("k", SOURCE.credential(None, trust), keys)
    with pytest.raises(NotAuthenticError):
        SOURCE.verify(Request("POST", {}, token), [secret], NOW)
