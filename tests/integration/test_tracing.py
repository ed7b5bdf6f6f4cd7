"""One trace from an identity provider's request to the applied change, at a real collector."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import Collector, collector
from tests.harness import Rosterd
from worker.adapters.db import rows
from worker.settings import SettingsError, load_settings

TRACE = "0af7651916cd43dd8448eb211c80319c"
TOLD = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture
def traced(database_url: str, tmp_path: Path, collected: Collector) -> Iterator[Rosterd]:
    harness = Rosterd(database_url, tmp_path, otlp_endpoint=collected.url)
    with harness.serving():
        yield harness
    harness.close()


def flushed(rosterd: Rosterd) -> None:
    traces = rosterd.parts.traces
    assert traces is not None
    assert traces._provider.force_flush()


def test_the_change_is_in_the_trace_of_the_request_that_asked_for_it(
    traced: Rosterd, collected: Collector
) -> None:
    feed = traced.account()
    sent = traced.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"}, id_="e1")
    headers = {**sent.headers, "traceparent": TOLD}
    assert traced.http.post(sent.url, content=sent.body, headers=headers).status_code == 200
    # Nobody rang: whoever finds the event goes on with its trace.
    traced.drain()
    flushed(traced)
    (request,) = collected.named("POST /hooks/{feed}")
    (applied,) = collected.named("users.create")
    assert (request.trace, request.parent) == (TRACE, "b7ad6b7169203331")
    assert (applied.trace, applied.parent) == (TRACE, request.id)
    assert request.attributes["http.response.status_code"] == 200
    assert applied.attributes["rosterd.outcome"] == "applied"
    assert applied.attributes["rosterd.connection"] == feed.connection
    assert {span.service for span in collected.spans} == {"rosterd"}
    assert not any(b"u1" in body for body in collected.bodies), "spans tell of nobody"


def test_without_a_trace_of_the_providers_it_begins_with_the_request(
    traced: Rosterd, collected: Collector
) -> None:
    feed = traced.account()
    traced.hire(feed, "u1")
    traced.hire(feed, "u2")
    flushed(traced)
    requests = collected.named("POST /hooks/{feed}")
    applied = collected.named("users.create")
    assert len({span.trace for span in requests}) == 2
    assert [(s.trace, s.parent) for s in applied] == [(s.trace, s.id) for s in requests]


def test_a_dead_letter_is_an_error_and_its_replay_goes_on_with_the_trace(
    traced: Rosterd, collected: Collector
) -> None:
    feed = traced.account()
    traced.hire(feed, "u1", "u1@elsewhere.example")
    flushed(traced)
    (dead,) = collected.named("users.create")
    assert (dead.is_error, dead.attributes["rosterd.reason"]) == (True, "domain_not_allowed")
    traced.allow("elsewhere.example")
    done = traced.cli(
        "dead", "replay", "--account", "acme", "--yes", "--reason", "r", "--wait", "0"
    )
    assert done.returncode == 0, done.stderr
    traced.drain()
    flushed(traced)
    spans = collected.named("users.create")
    assert {span.trace for span in spans} == {dead.trace}
    assert [span.attributes["rosterd.outcome"] for span in spans][-1] == "applied"


def test_a_scim_write_is_one_trace_too(traced: Rosterd, collected: Collector) -> None:
    traced.account()
    done = traced.cli("connection", "add", "--account", "acme", "--source", "scim", "--json")
    if done.returncode:
        with traced.setup() as use:
            use.set_several(use.account("acme"), allows=True, reason="r")
        done = traced.cli("connection", "add", "--account", "acme", "--source", "scim", "--json")
    token = json.loads(done.stdout)["bearer_token"]
    headers = {"Authorization": f"Bearer {token}", "traceparent": TOLD}
    made = traced.http.post("/scim/v2/Users", json={"userName": "u1@example.com"}, headers=headers)
    assert made.status_code == 201, made.text
    flushed(traced)
    (request,) = collected.named("POST /scim/v2")
    (applied,) = collected.named("users.create")
    assert request.trace == applied.trace == TRACE
    assert applied.parent == request.id
    assert request.attributes["http.response.status_code"] == 201


def test_it_is_off_and_loads_nothing_where_no_endpoint_is_set(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    assert rosterd.parts.traces is None
    (delivery,) = rosterd.table(rows.deliveries)
    assert b"traceparent" not in rosterd.parts.vault.open(delivery["headers"])
    # The broker's client looks for the interface by itself; what makes and sends spans is the SDK.
    loads = "import sys, worker.web.app, worker.tasks.build; "
    ask = f"{loads}sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from domain.errors import UsageError
    from worker.adapters.tracing import traces_to

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UsageError, match=r"rosterd\[otel\]"):
        traces_to("http://127.0.0.1:1", "rosterd")
    with pytest.raises(SettingsError, match="ROSTERD_OTLP_ENDPOINT"):
        load_settings(data_dir=tmp_path, otlp_endpoint="collector:4318")
