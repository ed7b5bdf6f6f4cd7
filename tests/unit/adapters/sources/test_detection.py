"""Which source a request is of: by the recorded requests of real senders, and by hostile ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import Request
from tests.fuzz.shapes import SHAPES, bodies
from worker.adapters.sources.detection import detected
from worker.adapters.sources.registry import SOURCES
from worker.cli.captured import read_request

FOLDERS = (
    *("auth0", "clerk", "fusionauth", "google", "keycloak", "onelogin", "pingone"),
    *("polis", "scalekit", "workos", "zitadel"),
)
#: Log events lie there without the envelope in which hooks deliver them; claims without a token.
OTHERS = {"okta": ("okta", "eventhook-*.json"), "scim-events": ("set", "*.json")}


@pytest.mark.parametrize("folder", [*FOLDERS, *OTHERS])
def test_recorded_request_is_known_by_its_headers_or_its_body(payloads: Path, folder: str) -> None:
    name, pattern = OTHERS.get(folder, (folder, "*.json"))
    files = sorted((payloads / folder).glob(pattern))
    assert files
    for file in files:
        whole, plain = read_request(file), Request("POST", {}, file.read_bytes())
        assert detected(whole)[:1] == [name], file.name
        if file.name != "dsync.user.created-2021-okta-raw.json":
            assert detected(plain)[:1] == [name], file.name


def test_recorded_tokens_are_known(payloads: Path) -> None:
    token = payloads / "ssf/signed-set-es256-verification.jwt"
    assert detected(read_request(token)) == ["set"]
    assert detected(Request("POST", {}, token.read_bytes())) == ["set"]


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "scim"])
def test_own_shapes_are_known(name: str) -> None:
    for shape in SHAPES[name]:
        found = detected(Request("POST", {}, json.dumps(shape).encode()))
        assert name in found or name == "clerk", (shape, found)


@pytest.mark.parametrize("name", SHAPES)
def test_whatever_it_is_naming_it_never_fails(name: str) -> None:
    @settings(deadline=None, max_examples=60)
    @given(body=bodies(name), told=st.sampled_from(["", "svix-signature", "content-type"]))
    def whatever(body: bytes, told: str) -> None:
        headers = {told: "application/secevent+jwt"} if told else {}
        assert set(detected(Request("POST", headers, body))) <= set(SOURCES)

    whatever()
