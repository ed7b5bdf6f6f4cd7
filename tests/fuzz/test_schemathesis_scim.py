"""Whatever SCIM's own OpenAPI document lets somebody send: never a 5xx, every error the RFC's.

The long form, ten times as many and drawn afresh: ROSTERD_TEST_EXPLORE=10, and this file's name.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.exploring import EXPLORE
from tests.harness import Rosterd
from tests.scim import MEDIA_TYPE, Provider, provider

with warnings.catch_warnings():
    # What its own dependencies say of one another at import is not ours to mend.
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")

#: Examples of each operation that the document describes.
EXAMPLES = 12
#: Answers with another status than these are no answers of a service that is well.
UNWELL = 500
#: Of what schemathesis would send with a client of its own.
_SENT = ("method", "url", "params", "json", "data", "headers")


@pytest.fixture
def idp(rosterd: Rosterd) -> Provider:
    """Some people and a group, so that ids exist."""
    found = provider(rosterd)
    ana = found.hire("ana", externalId="e1", title="Boss")
    found.group("Crew", ana["id"])
    return found


def described(idp: Provider) -> Any:
    """The document as it is published, without a token."""
    told = idp.rosterd.http.get("/scim/v2/openapi.json")
    assert told.status_code == 200
    assert told.headers["content-type"] == "application/json"
    document = told.json()
    assert document["servers"][0]["url"].endswith("/scim/v2")
    return document


def known_ids(idp: Provider) -> list[str]:
    return [
        one["id"]
        for kind in ("Users", "Groups")
        for one in idp.told("GET", f"/{kind}")["Resources"]
    ]


def test_nothing_that_is_described_is_answered_with_5xx(idp: Provider) -> None:
    schema = schemathesis.openapi.from_dict(described(idp))
    ids = known_ids(idp)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 20
    statuses: dict[str, set[int]] = {}
    for operation in operations:
        asked = statuses.setdefault(operation.label, set())
        _exercise(idp, operation, ids, asked)
    reached = {status for asked in statuses.values() for status in asked}
    assert {200, 201, 400, 404} <= reached
    assert statuses["POST /Users"] & {201, 202, 400}


def _exercise(idp: Provider, operation: Any, ids: list[str], asked: set[int]) -> None:
    @settings(
        max_examples=EXAMPLES * max(1, EXPLORE),
        derandomize=not EXPLORE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        told = _send(idp, case, ids)
        asked.add(told.status_code)
        assert told.status_code < UNWELL, (case.as_curl_command(), told.text)
        if told.status_code >= 400:
            assert told.headers["content-type"] == MEDIA_TYPE
            assert told.json()["status"] == str(told.status_code)

    run()


def _send(idp: Provider, case: Any, ids: list[str]) -> Any:
    """The request, of every second one with an id that exists."""
    if "id" in (case.path_parameters or {}) and len(str(case.path_parameters["id"])) % 2 == 0:
        case.path_parameters["id"] = ids[len(str(case.body or "")) % len(ids)]
    sent = case.as_transport_kwargs(base_url="http://testserver/scim/v2")
    kept = {name: value for name, value in sent.items() if name in _SENT and value is not None}
    if "data" in kept:
        kept["content"] = kept.pop("data")
    headers = {k: str(v) for k, v in dict(kept.pop("headers", {})).items()}
    headers = {k: v.encode("utf-8", "replace").decode("latin-1") for k, v in headers.items()}
    headers |= {"Authorization": f"Bearer {idp.token}", "Content-Type": MEDIA_TYPE}
    return idp.rosterd.http.request(headers=headers, **kept)
