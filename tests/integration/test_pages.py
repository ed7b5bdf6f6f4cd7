"""Status page, probes and metrics as their readers meet them."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.film import Frame, series
from tests.harness import Rosterd
from worker.adapters.db.sweeping import SQLSweep
from worker.adapters.sources.registry import SOURCES
from worker.web.console.figures import figures


def test_probes(rosterd: Rosterd) -> None:
    assert rosterd.http.get("/livez").status_code == 200
    assert rosterd.http.get("/readyz").status_code == 200
    health = rosterd.http.get("/health").json()
    assert health["components"]["database"]["state"] == "ok"
    assert health["components"]["broker"]["state"] == "degraded", "there is none in this test"
    assert health["state"] == "degraded"


def test_metrics_need_a_token_and_tell_zero_as_zero(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "x@elsewhere.example")
    assert rosterd.http.get("/metrics").status_code == 401
    with rosterd.setup() as use:
        good = use.add_token(None, name="prometheus", scopes=["metrics"])
        other = use.add_token(None, name="app", scopes=["directory:read"])
    bearer = {"Authorization": f"Bearer {good}"}
    text = rosterd.http.get("/metrics", headers=bearer).text
    of = 'account="acme",connection="standard"'
    assert f'rosterd_events{{{of},lane="urgent",state="pending"}} 0.0' in text
    assert f'rosterd_dead_letters{{{of},reason="domain_not_allowed"}} 1.0' in text
    assert f'rosterd_dead_letters{{{of},reason="error"}} 0.0' in text
    assert 'rosterd_invariant_violations_total{kind="batch_broke"}' in text
    assert "elsewhere.example" not in text
    told = Rosterd(str(rosterd.settings.database), rosterd.settings.data_dir, metrics_token="own")
    with told.serving() as http:
        for token, status in (("own", 200), (good, 200), ("owner", 401)):
            bearer = {"Authorization": f"Bearer {token}"}
            assert http.get("/metrics", headers=bearer).status_code == status
    told.close()
    wrong = {"Authorization": f"Bearer {other}"}
    assert rosterd.http.get("/metrics", headers=wrong).status_code == 401


def test_each_series_once_and_right_for_accounts_that_name_connections_alike(
    rosterd: Rosterd,
) -> None:
    first = rosterd.account()
    second = rosterd.account("example.org", name="beta")
    rosterd.feed(second)
    for number in range(3):
        rosterd.hire(second, f"u{number}", "nobody@elsewhere.example")
    rosterd.tell(first, "user.suspended", {"id": "u1"}, drain=False)
    seen = _gauges(rosterd)

    def of(name: str, account: str, **more: str) -> float:
        labels = {"account": account, "connection": "standard", **more}
        return seen[name, tuple(sorted(labels.items()))]

    def pending(account: str) -> float:
        return of("rosterd_events", account, lane="urgent", state="pending")

    assert (pending("acme"), pending("beta")) == (1, 0)
    age = "rosterd_suspension_oldest_age_seconds"
    assert of(age, "acme") > 0
    assert of(age, "beta") == 0
    dead = {"reason": "domain_not_allowed"}
    assert of("rosterd_dead_letters", "acme", **dead) == 0
    assert of("rosterd_dead_letters", "beta", **dead) == 3
    silent = "rosterd_connection_last_heard_seconds"
    assert of(silent, "acme") < 60
    assert of(silent, "beta") < 60, "the feed that was never heard was made just now"
    lanes = figures(rosterd.parts.gauges.snapshot()).lanes
    urgent = {row.account: row.counts["pending"] for row in lanes if row.lane == "urgent"}
    assert urgent == {"acme": 1, "beta": 0}


def test_a_pause_does_not_silence_the_alarm_on_a_suspension(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    with rosterd.setup() as use:
        held = use.set_connection_state(use.connection("standard"), "paused", reason="flood")
    assert held == 1
    of = (("account", "acme"), ("connection", "standard"))
    assert _gauges(rosterd)["rosterd_suspension_oldest_age_seconds", of] > 0


def test_t41_while_the_database_is_away_counters_are_told_and_the_state_is_not(
    tmp_path: Path,
) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    rosterd = Rosterd(nowhere, tmp_path, metrics_token="own")
    with rosterd.serving() as http:
        before = _unavailable(_gauges(rosterd))
        assert http.post("/hooks/feed_x", content=b"{}").status_code == 503
        seen = _gauges(rosterd)
        of_the_database = {"Authorization": "Bearer of-the-database"}
        assert http.get("/metrics", headers=of_the_database).status_code == 503
    rosterd.close()
    assert _unavailable(seen) == before + 1
    assert seen["rosterd_state_readable", ()] == 0
    assert seen["rosterd_broker_queue_length", (("queue", "urgent"),)] == -1
    assert ("rosterd_invariant_violations_total", (("kind", "group_broke"),)) in seen
    names = {name for name, _ in seen}
    assert "rosterd_events" not in names, "ages that have stopped would mislead"


def _gauges(rosterd: Rosterd) -> Frame:
    """Every series of /metrics; fails where one comes twice."""
    token = rosterd.settings.metrics_token
    if token is not None:
        bearer = token.get_secret_value()
    else:
        with rosterd.setup() as use:
            bearer = use.add_token(None, name="prometheus", scopes=["metrics"])
    rosterd.parts.gauges._known = None
    answer = rosterd.http.get("/metrics", headers={"Authorization": f"Bearer {bearer}"})
    assert answer.status_code == 200
    return series(answer.text)


def _unavailable(seen: Frame) -> float:
    """Requests that were answered 503, by all sources; each is told as 0 before its first."""
    name = "rosterd_events_received_total"
    found = {key: value for key, value in seen.items() if key[0] == name}
    told = [value for (_, labels), value in found.items() if ("result", "unavailable") in labels]
    assert len(told) == len(SOURCES) + 1
    return sum(told)


def test_the_status_page_is_behind_a_link_that_works_once(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "x@elsewhere.example")
    rosterd.hire(feed, "u2", "<b>x@elsewhere.example")
    SQLSweep(rosterd.parts.database, rosterd.parts.worker_id, rosterd.parts.report).sweep()
    locked = rosterd.http.get("/")
    assert locked.url.path == "/sign-in"
    assert "operator link" in locked.text
    token = rosterd.sign_in_link(rosterd.operator("eve@example.com"))
    assert rosterd.http.get(f"/sign-in/{token}").status_code == 200
    assert rosterd.http.get(f"/sign-in/{token}").status_code == 200, "looking uses nothing up"
    assert rosterd.http.post(f"/sign-in/{token}").status_code == 200
    page = rosterd.http.get("/")
    assert page.status_code == 200
    assert "domain_not_allowed" in page.text
    assert "unparseable" in page.text
    assert "<b>x@" not in page.text
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert len(page.content) < 100_000
    assert rosterd.http.post(f"/sign-in/{token}").status_code == 410
    assert rosterd.http.post("/sign-out").status_code == 403, "not from the page"
    rosterd.http.post("/sign-out", data={"csrf": rosterd.csrf()})
    assert rosterd.http.get("/").url.path == "/sign-in"


def test_static_files(rosterd: Rosterd) -> None:
    assert rosterd.http.get("/static/console.css").headers["content-type"].startswith("text/css")
    assert rosterd.http.get("/static/live.js").status_code == 200
    assert rosterd.http.get("/static/secrets").status_code == 404
    assert rosterd.http.get("/member.css").status_code == 200
