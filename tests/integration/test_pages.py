"""Status page, probes and metrics as their readers meet them."""

from __future__ import annotations

from tests.harness import Rosterd
from worker.adapters.db.sweeping import SQLSweep


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
    assert 'rosterd_events{connection="standard",lane="urgent",state="pending"} 0.0' in text
    assert 'rosterd_dead_letters{connection="standard",reason="domain_not_allowed"} 1.0' in text
    assert "elsewhere.example" not in text
    told = Rosterd(str(rosterd.settings.database), rosterd.settings.data_dir, metrics_token="own")
    with told.serving() as http:
        for token, status in (("own", 200), (good, 200), ("owner", 401)):
            bearer = {"Authorization": f"Bearer {token}"}
            assert http.get("/metrics", headers=bearer).status_code == status
    told.close()
    wrong = {"Authorization": f"Bearer {other}"}
    assert rosterd.http.get("/metrics", headers=wrong).status_code == 401


def test_the_status_page_is_behind_a_link_that_works_once(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "<b>x@elsewhere.example")
    SQLSweep(rosterd.parts.database, rosterd.parts.worker_id, rosterd.parts.report).sweep()
    locked = rosterd.http.get("/")
    assert locked.status_code == 401
    assert "operator link" in locked.text
    rosterd.parts.operators.add("eve@example.com", "viewer")
    token = rosterd.parts.operators.link("eve@example.com")
    assert rosterd.http.get(f"/sign-in/{token}").status_code == 200
    assert rosterd.http.get(f"/sign-in/{token}").status_code == 200, "looking uses nothing up"
    assert rosterd.http.post(f"/sign-in/{token}").status_code == 200
    page = rosterd.http.get("/")
    assert page.status_code == 200
    assert "domain_not_allowed" in page.text
    assert "<b>x@" not in page.text
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert len(page.content) < 100_000
    assert rosterd.http.post(f"/sign-in/{token}").status_code == 410
    rosterd.http.post("/sign-out")
    assert rosterd.http.get("/").status_code == 401


def test_static_files(rosterd: Rosterd) -> None:
    assert rosterd.http.get("/static/status.css").headers["content-type"].startswith("text/css")
    assert rosterd.http.get("/static/status.js").status_code == 200
    assert rosterd.http.get("/static/secrets").status_code == 404
    assert rosterd.http.get("/member.css").status_code == 200
