"""Whatever the API's own description lets somebody send: never a 5xx, each answer as described.

The long form, ten times as many and drawn afresh: ROSTERD_TEST_EXPLORE=10, and this file's name.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.exploring import EXPLORE
from tests.harness import Rosterd
from tests.tenants import Tenant, furnished
from worker.web.api.caller import Rates
from worker.web.api.problems import MEDIA_TYPE

with warnings.catch_warnings():
    # What its own dependencies say of one another at import is not ours to mend.
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")
    jsonschema = pytest.importorskip("jsonschema")

#: Examples of each operation that the document describes.
EXAMPLES = 4
UNWELL = 500
#: Of what schemathesis would send with a client of its own.
_SENT = ("method", "url", "params", "json", "data", "headers")
#: What an operation's path names, of a tenant's words.
NAMED = {
    "account": "account",
    "connection": "connection",
    "endpoint": "endpoint",
    "event": "event",
    "feed": "feed",
    "group": "group_by_hand",
    "hold": "hold",
    "letter": "letter",
    "operator": "operator",
    "reconciliation": "reconciliation",
    "replay": "replay",
    "token": "token",
    "user": "person",
    "kind": "",
    "permission": "",
    "domain": "",
    "code": "",
    # Nobody was deleted for good, and an operator's sessions are theirs.
    "erasure": "",
    "session": "",
}


@pytest.fixture
def tenant(rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """One of everything, so that ids exist; and nobody is told to wait."""
    monkeypatch.setattr(Rates, "wait", lambda _rates, _token: 0.0)
    return furnished(rosterd, "alpha", "alphaonly")


def described(rosterd: Rosterd) -> Any:
    """The document as it is published, without a token."""
    told = rosterd.http.get("/api/openapi.json")
    assert told.status_code == 200
    return told.json()


@pytest.mark.timeout(300)
def test_nothing_that_is_described_is_answered_with_5xx_or_otherwise(
    rosterd: Rosterd, tenant: Tenant
) -> None:
    document = described(rosterd)
    operations = [
        found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()
    ]
    assert len(operations) > 90
    statuses: dict[str, set[int]] = {}
    for operation in operations:
        asked = statuses.setdefault(operation.label, set())
        _exercise(rosterd, operation, tenant, document, asked)
    reached = {status for asked in statuses.values() for status in asked}
    assert {200, 204, 404, 409, 422} <= reached
    silent = [label for label, asked in statuses.items() if label.startswith("GET") and not asked]
    assert silent == []


def _exercise(
    rosterd: Rosterd, operation: Any, tenant: Tenant, document: Any, asked: set[int]
) -> None:
    @settings(
        max_examples=EXAMPLES * max(1, EXPLORE),
        derandomize=not EXPLORE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        for is_named in (True, False):
            told = _send(rosterd, case, tenant, is_named=is_named)
            asked.add(told.status_code)
            assert told.status_code < UNWELL, (operation.label, told.text)
            _insist_described(document, operation, told)

    run()


def _insist_described(document: Any, operation: Any, told: Any) -> None:
    """The status is among those that are told, and the body has the shape that it tells."""
    answers = document["paths"][operation.path][operation.method.lower()]["responses"]
    where = (operation.label, told.status_code, told.text[:500])
    assert str(told.status_code) in answers, where
    if not told.content:
        return
    media = told.headers["content-type"].partition(";")[0]
    if told.status_code >= 400:
        assert media == MEDIA_TYPE, where
    content = answers[str(told.status_code)].get("content", {})
    assert media in content, (*where, media)
    if media == "application/x-ndjson":
        return
    schema = {**content[media]["schema"], "components": document["components"]}
    wrong = [
        error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(told.json())
    ]
    assert wrong == [], where


def _send(rosterd: Rosterd, case: Any, tenant: Tenant, *, is_named: bool) -> Any:
    """The request, once with ids that exist and once as it was drawn."""
    for name in case.path_parameters or {}:
        if is_named and NAMED[name]:
            case.path_parameters[name] = tenant.words[NAMED[name]]
    sent = case.as_transport_kwargs(base_url="http://testserver/api")
    kept = {name: value for name, value in sent.items() if name in _SENT and value is not None}
    if "data" in kept:
        kept["content"] = kept.pop("data")
    headers = {k: str(v) for k, v in dict(kept.pop("headers", {})).items()}
    headers = {k: v.encode("utf-8", "replace").decode("latin-1") for k, v in headers.items()}
    headers |= {"Authorization": f"Bearer {tenant.secrets['broad_bearer']}"}
    headers |= {"Content-Type": "application/json"}
    return rosterd.http.request(headers=headers, **kept)
