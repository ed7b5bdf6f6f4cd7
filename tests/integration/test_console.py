"""The console over HTTP: what its pages say, what its forms do, and whom it tells nothing."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.console import Operator
from tests.harness import Feed, Rosterd
from tests.tenants import MARK, Tenant, address, contents, related
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import holds
from worker.adapters.db.minute_rows import EVERYBODY, minutes

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def swept(rosterd: Rosterd) -> None:
    rosterd.parts.sweep.beat(lanes=["urgent", "standard", "bulk"])
    rosterd.parts.sweep.run()
    rosterd.parts.minutes.flush()
    rosterd.parts.gauges._known = None


def lived_in(rosterd: Rosterd) -> Feed:
    """A bit of everything: people, a group, dead, waiting, superseded, held by the breaker."""
    feed = rosterd.account(breaker_min="1", breaker_percent="0")
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key, given_name=key.upper(), display_name=f"{key} of Acme")
    rosterd.accept("u1@example.com")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew & Co"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "nobody"})
    rosterd.hire(feed, "u9", "u9@elsewhere.example")
    rosterd.tell(feed, "user.upserted", {"id": "u1", "email": "old@example.com"}, at=-500)
    for key in ("u2", "u3"):
        rosterd.tell(feed, "user.suspended", {"id": key})
    swept(rosterd)
    return feed


def event_of(rosterd: Rosterd, **wanted: str) -> int:
    found = [e for e in rosterd.events() if all(e[k] == v for k, v in wanted.items())]
    return int(found[-1]["id"])


def person_of(rosterd: Rosterd, key: str) -> str:
    (row,) = rosterd.table(rows.people, rows.people.c.user_key == key)
    return str(row["id"])


def group_ref_of(page: str, name: str) -> str:
    found = re.search(rf'href="(/groups/[^"]+)">{re.escape(html.escape(name))}<', page)
    assert found is not None
    return found.group(1)


class TestPages:
    def test_now_says_what_needs_somebody_before_anything_else(self, rosterd: Rosterd) -> None:
        feed = lived_in(rosterd)
        eve = Operator(rosterd, "viewer")
        page = eve.page("/")
        assert "The breaker of acme, standard holds something back" in page
        assert "1 domain not allowed" in page
        assert (
            page.index("Needs you") < page.index("Oldest unapplied suspension") < page.index("<svg")
        )
        rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
        with rosterd.parts.database.begin() as connection:
            late = rows.events.c.received_at - timedelta(minutes=12)
            due = rows.events.c.due_at.is_not(None)
            if connection.dialect.name == "postgresql":
                connection.execute(rows.events.update().where(due).values(received_at=late))
                connection.commit()
        if rosterd.parts.database.is_postgres:
            rosterd.parts.gauges._known = None
            page = eve.page("/")
            assert "Somebody may still be inside who should be out" in page
            assert page.index("Somebody may still be inside") < page.index("holds something back")

    def test_now_says_of_every_connection_that_keeps_its_events_back(
        self, rosterd: Rosterd
    ) -> None:
        rosterd.account(several=True)
        slow = rosterd.connect("acme", name="slow")
        add = ("connection", "add", "--account", "acme", "--source", "standard", "--json")
        made = json.loads(rosterd.cli(*add, "--name", "watched", "--observe").stdout)
        watched = Feed(made["feed"], made["id"], made["signing_secret"])
        rosterd.cli("connection", "pause", "slow", "--reason", "x")
        for feed, key in ((slow, "u1"), (watched, "u2"), (watched, "u3")):
            rosterd.hire(feed, key)
        swept(rosterd)
        page = Operator(rosterd, "viewer").page("/")
        needs = re.findall(r"<b>([^<]*)</b><span>([^<]*)</span>", page)
        assert needs[:2] == [
            (
                "acme, slow is paused: what comes is held",
                "1 event so far, to be applied once it resumes.",
            ),
            (
                "acme, watched is observing: what comes is held",
                "2 events so far, to be applied once it goes live.",
            ),
        ]
        assert len(needs) == 2, "nothing of the connection that is active"
        heard = re.findall(r'data-label="State"><span class="badge (\w+)">', page)
        assert sorted(heard) == ["active", "observing", "paused"]
        told = rosterd.cli("status").stdout
        assert [told.count(f"is {state}: what comes is held") for state in heard].count(1) == 2

    def test_charts_are_drawn_of_minutes_that_outlive_the_process(self, rosterd: Rosterd) -> None:
        lived_in(rosterd)
        eve = Operator(rosterd, "viewer")
        for span in ("hour", "day"):
            page = eve.page(f"/?span={span}")
            assert page.count('role="img"') >= 5
            assert page.count("<desc") >= 5
            assert "All that can be applied is applied" in page, "a dead letter is there"
            assert "The charts as a table" in page
        ours = (minutes.c.lane == "standard") & (minutes.c.account_id == EVERYBODY)
        told = rosterd.table(minutes, ours)
        assert sum(row["applied"] for row in told) == 5
        assert sum(row["dead"] for row in told) == 1
        assert sum(row[f"latency_{number}"] for row in told for number in range(10)) >= 6
        again = Rosterd(str(rosterd.settings.database), rosterd.settings.data_dir)
        with again.serving():
            eve.rosterd = again
            assert "applied at most" in eve.page("/")
        again.close()
        assert eve.ask("/?span=year").status_code == 400

    def test_events_are_found_by_whatever_is_known_of_them(self, rosterd: Rosterd) -> None:
        feed = lived_in(rosterd)
        eve = Operator(rosterd, "viewer")
        dead = event_of(rosterd, subject="u9")
        late = event_of(rosterd, outcome="superseded")
        waiting = event_of(rosterd, state="waiting")
        known = rosterd.events(rows.events.c.id == dead)[0]
        for query, wanted in (
            ("subject=u9", {dead}),
            (f"external_id={known['external_id']}", {dead}),
            ("email=u1@example.com&outcome=superseded", {late}),
            ("state=dead", {dead}),
            ("state=waiting", {waiting}),
            ("outcome=superseded", {late}),
            ("reason=domain_not_allowed", {dead}),
            (f"type=group.upserted&connection={feed.connection}&source=standard", None),
            ("kind=users.suspend&state=open", None),
            ("since=1h&until=2030-01-01", None),
        ):
            page = eve.page(f"/events?{query}")
            found = {int(one) for one in re.findall(r'href="/events/(\d+)"', page)}
            assert found, query
            assert wanted is None or found == wanted, query
        for query in ("since=1s&until=2020-01-01T00:00", "subject=u99", "email=x@example.com"):
            assert "No event fits" in eve.page(f"/events?{query}"), query
        for query in ("state=strange", "since=soon", "before=x", "reason=x"):
            told = eve.ask(f"/events?{query}")
            assert told.status_code == 400, query
            assert "This cannot be asked" in told.text

    def test_pages_of_events_go_on_where_the_one_before_ended(self, rosterd: Rosterd) -> None:
        feed = rosterd.account()
        for number in range(60):
            rosterd.tell(feed, "user.upserted", {"id": f"u{number}"}, drain=False)
        eve = Operator(rosterd, "viewer")
        first = eve.page("/events")
        older = re.search(r'href="(/events\?before=\d+)" rel="next"', first)
        assert older is not None
        second = eve.page(older.group(1))
        ids = [
            [int(one) for one in re.findall(r'<a href="/events/(\d+)"', page)]
            for page in (first, second)
        ]
        assert [len(one) for one in ids] == [50, 10]
        assert sorted(ids[0] + ids[1]) == sorted(e["id"] for e in rosterd.events())
        assert "data-live" in first
        assert "data-live" not in second, "an older page stands still"

    def test_an_event_tells_its_story(self, rosterd: Rosterd) -> None:
        lived_in(rosterd)
        ops = Operator(rosterd, "operator")
        dead = ops.page(f"/events/{event_of(rosterd, subject='u9')}")
        assert "domain elsewhere.example is not" in dead
        assert "Allow the domain if it is yours, then replay." in dead
        assert "&#34;email&#34;: &#34;u9@elsewhere.example&#34;" in dead, (
            "an operator sees the body"
        )
        applied = ops.page(f"/events/{event_of(rosterd, subject='u2', outcome='applied')}")
        assert "Before" in applied
        assert "u2@example.com" in applied
        late = ops.page(f"/events/{event_of(rosterd, outcome='superseded')}")
        assert "Newer and in force" in late
        viewer = Operator(rosterd, "viewer").page(f"/events/{event_of(rosterd, subject='u9')}")
        assert "u9@elsewhere.example" not in viewer.partition("What was received")[2]
        assert "from the role operator on" in viewer

    def test_a_person_and_a_group_are_told_whole(self, rosterd: Rosterd) -> None:
        lived_in(rosterd)
        eve = Operator(rosterd, "viewer")
        assert "u1@example.com" in eve.page("/people")
        assert "u2@example.com" not in eve.page("/people?state=active")
        found = eve.page("/people?email=u1@example.com")
        assert f"/people/{person_of(rosterd, 'u1')}" in found
        page = eve.page(f"/people/{person_of(rosterd, 'u1')}")
        for told in ("u1 of Acme", "Crew &amp; Co", "invitation", "accepted", "Who and what"):
            assert told in page, told
        out = eve.page(f"/people/{person_of(rosterd, 'u2')}")
        assert "Each feed" in out
        assert "is out" in out
        groups = eve.page("/groups")
        group = eve.page(group_ref_of(groups, "Crew & Co"))
        assert "u1@example.com" in group
        assert "nobody yet" in group
        for query in ("state=odd", "role=king", "after=%00"):
            assert eve.ask(f"/people?{query}").status_code == 400, query

    def test_what_is_empty_says_what_to_do(self, rosterd: Rosterd) -> None:
        eve = Operator(rosterd)
        for path, told in (
            ("/", "Nothing is connected yet"),
            ("/events", "Nothing has come in yet"),
            ("/people", "Whom do you look for?"),
            ("/groups", "Whose groups?"),
            ("/holds", "Nothing is held by a breaker"),
            ("/connections", "No connection yet"),
            ("/connections/new", "There is no account yet"),
        ):
            assert told in eve.page(path), path

    def test_the_audit_tells_what_people_did_and_on_demand_all(self, rosterd: Rosterd) -> None:
        feed = lived_in(rosterd)
        rosterd.cli("connection", "pause", feed.connection, "--reason", "a look at 3 a.m.")
        eve = Operator(rosterd, "viewer")
        page = eve.page("/audit")
        assert "a look at 3 a.m." in page
        assert "connection paused" in page
        assert "users create" not in page
        assert "users create" in eve.page("/audit?which=all")
        assert "connection paused" in eve.page("/audit?action=connection.&since=1h")
        assert "Nothing fits" in eve.page("/audit?actor=nobody")


class TestActs:
    def test_a_hold_is_answered_once_with_a_reason(self, rosterd: Rosterd) -> None:
        lived_in(rosterd)
        (hold,) = rosterd.table(holds)
        path = f"/holds/{hold['id']}"
        assert "1 event" in Operator(rosterd, "viewer").page(path)
        ana, ben = Operator(rosterd, "operator"), Operator(rosterd, "operator", name="ben")
        assert ana.post(f"{path}/approve", at=path, reason=" ").status_code == 400
        assert ana.did(f"{path}/approve", at=path, reason="meant") == "Approved: 1 events go on."
        second = ben.post(f"{path}/reject", at=path, reason="no")
        assert second.status_code == 409
        assert "was approved by operator:operator@example.com" in html.unescape(second.text)
        rosterd.drain()
        assert rosterd.user("u3")["state"] in ("suspended", "invited_suspended")  # type: ignore[index]
        entry = rosterd.table(rows.audit, rows.audit.c.action == "hold.approved")[0]
        assert (entry["actor"], entry["reason"]) == ("operator:operator@example.com", "meant")

    def test_an_approval_says_whose_rejection_it_takes_back(self, rosterd: Rosterd) -> None:
        lived_in(rosterd)
        path = f"/holds/{rosterd.table(holds)[0]['id']}"
        ana, ben = Operator(rosterd, "operator"), Operator(rosterd, "operator", name="ben")
        ben.did(f"{path}/reject", at=path, reason="a broken sync")
        said = ana.did(f"{path}/approve", at=path, reason="meant")
        assert "the hold was rejected by operator:ben@example.com at 20" in said
        assert said.endswith("UTC: a broken sync")

    def test_a_connection_is_added_waits_is_planned_and_goes_live(self, rosterd: Rosterd) -> None:
        with rosterd.setup() as use:
            account = use.add_account(
                "acme", owner=None, domains=["example.com"], parent=None, several=False
            )
        rosterd.account_id = account
        root = Operator(rosterd)
        told = root.post(
            "/connections", at="/connections/new", account=account, source="standard", observe="yes"
        )
        assert told.status_code == 200
        shown = re.findall(r'<dd class="mono">(.*?)</dd>', told.text)
        path = re.search(r'href="(/connections/con_\w+)"', told.text)
        assert path is not None
        here = path.group(1)
        assert "Waiting for the first event" in root.page(here)
        assert not any(secret in root.page(here) for secret in shown[2:]), "shown once"
        feed = Feed(shown[0].rpartition("/")[2], here.rpartition("/")[2], shown[2])
        rosterd.hire(feed, "u1")
        assert "The provider speaks" in root.page(here)
        plan = root.post(f"{here}/plan", at=here)
        assert plan.status_code == 200
        assert "would invite 1" in plan.text
        kept = re.search(r'name="plan" value="(\w+)"', plan.text)
        assert kept is not None
        rosterd.hire(feed, "u2")
        late = root.post(f"{here}/go-live", at=here, plan=kept.group(1), reason="agreed")
        assert late.status_code == 409
        assert "more came in since the plan was shown" in late.text
        again = re.search(r'name="plan" value="(\w+)"', root.post(f"{here}/plan", at=here).text)
        assert again is not None
        done = root.did(f"{here}/go-live", at=here, plan=again.group(1), reason="agreed")
        assert done.startswith("Live: 2 observed events")
        rosterd.drain()
        assert len(rosterd.users()) == 2

    def test_a_connection_is_paused_resumed_rotated_and_retired(self, rosterd: Rosterd) -> None:
        feed = rosterd.account()
        here, root = f"/connections/{feed.connection}", Operator(rosterd)
        assert root.did(f"{here}/pause", at=here, reason="flood").startswith("Paused")
        rosterd.hire(feed, "u1")
        assert "1 event held" in root.page(here)
        assert root.did(f"{here}/resume", at=here, reason="over") == "Active: 1 held events go on."
        told = root.post(f"{here}/rotate", at=here, feed=feed.id)
        assert "whsec_" in told.text
        assert "it is not shown again" in told.text
        assert root.post(f"{here}/rotate", at=here, feed="fed_other").status_code == 404
        assert "credential dies" in root.page(f"{here}/retire") or "credentials die" in root.page(
            f"{here}/retire"
        )
        assert root.did(f"{here}/retire", at=f"{here}/retire", reason="moved").startswith("Retired")


class TestBadInput:
    def test_what_strangers_write_is_shown_and_never_run(self, rosterd: Rosterd) -> None:
        feed = rosterd.account()
        rosterd.hire(feed, f"u{EVIL}", "evil@example.com", display_name=EVIL, given_name=EVIL)
        rosterd.tell(feed, "group.upserted", {"id": EVIL, "name": EVIL})
        rosterd.tell(feed, "group.member_added", {"group_id": EVIL, "user_id": f"u{EVIL}"})
        rosterd.hire(feed, EVIL, f"{EVIL}@example.com")
        rosterd.hire(feed, "u2", "x@elsewhere.example", display_name=EVIL)
        swept(rosterd)
        root = Operator(rosterd)
        paths = ["/", "/events", "/people", "/groups", "/audit?which=all", "/connections"]
        paths += [f"/events/{event['id']}" for event in rosterd.events()]
        paths += [f"/people/{row['id']}" for row in rosterd.table(rows.people)]
        paths += [group_ref_of(root.page("/groups"), EVIL)]
        paths += [f"/events?subject={EVIL}", f"/audit?actor={EVIL}", f"/people?email={EVIL}"]
        seen = 0
        for path in paths:
            page = root.page(path)
            assert "<script>alert" not in page, path
            assert "<img" not in page, path
            seen += "&lt;script&gt;alert(1)" in page
        assert seen > 10

    def test_huge_filters_and_odd_ones_get_a_page_that_says_so(self, rosterd: Rosterd) -> None:
        eve = Operator(rosterd, "viewer")
        for query in (
            "subject=" + "x" * 500,
            "subject=" + "x" * 5_000,
            "&".join(f"a{n}=1" for n in range(2_000)),
            "subject=%00",
            "subject=%ed%a0%80%01",
            "since=" + "9" * 300 + "d",
            "before=" + "9" * 40,
        ):
            told = eve.ask(f"/events?{query}")
            assert told.status_code == 400, (query[:40], told.status_code)
            assert "This cannot be asked" in told.text
        for path in ("/events/0", "/events/99999999999999999999", "/events/x", "/people/x",
                     "/groups/idp_x", "/holds/x", "/connections/x", "/nowhere/at/all"):  # fmt: skip
            told = eve.ask(path)
            assert told.status_code == 404, path
            assert "Go to Now" in told.text

    def test_a_form_from_elsewhere_does_nothing(self, rosterd: Rosterd) -> None:
        feed = rosterd.account()
        here, root = f"/connections/{feed.connection}", Operator(rosterd)
        other = Operator(rosterd, name="other")
        before = contents(rosterd)
        theirs = re.search(r'name="csrf" value="([0-9a-f]+)"', other.page(here))
        assert theirs is not None
        for csrf in ("", "0" * 64, theirs.group(1)):
            told = root.post(f"{here}/pause", csrf=csrf, reason="x")
            assert told.status_code in (403, 409), csrf
            assert "page" in told.text
        answer = rosterd.http.post(
            f"{here}/pause", json={"reason": "x"}, headers={"Cookie": root.cookie}
        )
        assert answer.status_code == 400
        huge = rosterd.http.post(
            f"{here}/pause", data={"reason": "x" * 70_000}, headers={"Cookie": root.cookie}
        )
        assert huge.status_code == 400
        nobody = rosterd.http.post(f"{here}/pause", data={"reason": "x"}, follow_redirects=False)
        assert nobody.status_code in (303, 401)
        (row,) = rosterd.table(rows.connections)
        assert row["state"] == "active"
        assert {name for name, _ in contents(rosterd) ^ before} <= {"sessions", "sign_in_tries"}

    def test_who_may_not_is_told_so_and_sees_no_button(self, rosterd: Rosterd) -> None:
        feed = lived_in(rosterd)
        (hold,) = rosterd.table(holds)
        viewer = Operator(rosterd, "viewer")
        here = f"/connections/{feed.connection}"
        assert '<details class="act' not in viewer.page(here)
        assert '<details class="act' not in viewer.page(f"/holds/{hold['id']}")
        for path, fields in (
            (f"{here}/pause", {}),
            (f"{here}/resume", {}),
            (f"{here}/rotate", {"feed": feed.id}),
            (f"{here}/plan", {}),
            (f"{here}/go-live", {"plan": "pln_x"}),
            (f"{here}/retire", {}),
            ("/connections", {"account": rosterd.account_id, "source": "standard"}),
            (f"/holds/{hold['id']}/approve", {}),
            (f"/holds/{hold['id']}/reject", {}),
            (f"/holds/{hold['id']}/raise", {"to": "99"}),
        ):
            told = viewer.post(path, at="/", reason="why not", **fields)
            assert told.status_code == 403, path
            assert "role" in told.text, path
        assert viewer.ask("/connections/new").status_code == 403
        assert viewer.ask(f"{here}/retire").status_code == 403

    def test_the_theme_goes_back_to_our_own_pages_only(self, rosterd: Rosterd) -> None:
        for back, to in (("/events?state=dead", "/events?state=dead"), ("//evil.example", "/"),
                         ("https://evil.example", "/"), ("/\\evil.example", "/")):  # fmt: skip
            told = rosterd.http.post(
                "/theme", data={"theme": "dark", "back": back}, follow_redirects=False
            )
            assert (told.status_code, told.headers["location"]) == (303, to)
            assert "rosterd_theme=dark" in told.headers["set-cookie"]
        rosterd.http.cookies.clear()


@pytest.mark.parametrize("relation", ["stranger", "child"])
def test_c4_nothing_of_another_account_is_shown_found_or_done(
    rosterd: Rosterd, relation: str
) -> None:
    alpha, beta = related(rosterd, relation)
    swept(rosterd)
    ben = Operator(rosterd, "admin", account="beta")
    marks = [mark for mark in (*alpha.marks, MARK) if not mark.isdigit()]
    for path in _everything(alpha):
        told = ben.ask(path)
        assert told.status_code == 404, path
    for path in (*_lists(alpha), *_lists(beta)):
        page = ben.page(path)
        asked = path.partition("?")[2]
        found = [mark for mark in marks if mark in page and mark not in asked]
        assert not found, (path, found)
    before = contents(rosterd)
    for path, fields in _acts(alpha):
        told = ben.post(
            path, at=f"/connections/{beta.words['connection']}", reason="mine?", **fields
        )
        assert told.status_code == 404, path
    assert {name for name, _ in contents(rosterd) ^ before} <= {"sessions", "sign_in_tries"}
    for path in _everything(beta):
        assert ben.ask(path).status_code == 200, path


def _everything(tenant: Tenant) -> list[str]:
    words = tenant.words
    return [
        f"/events/{words['event']}",
        f"/events/{words['letter']}",
        f"/people/{words['person']}",
        f"/groups/{words['group']}",
        f"/groups/{words['group_by_hand']}",
        f"/holds/{words['hold']}",
        f"/connections/{words['connection']}",
        f"/connections/{words['observing']}",
        f"/connections/{words['connection']}/retire",
    ]


def _lists(tenant: Tenant) -> list[str]:
    words = tenant.words
    return [
        *("/", "/events", "/people", "/groups", "/holds", "/holds?show=all", "/connections"),
        *("/audit", "/audit?which=all", "/connections/new"),
        f"/events?connection={words['connection']}",
        "/events?subject=u1",
        f"/events?email={address('u1', MARK)}",
        f"/people?email={address('u1', MARK)}",
        "/people?external_id=u1",
        f"/audit?subject={words['connection']}",
    ]


def _acts(tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    words = tenant.words
    hold, of = f"/holds/{words['hold']}", f"/connections/{words['connection']}"
    observing = f"/connections/{words['observing']}"
    return [
        (f"{hold}/approve", {}),
        (f"{hold}/reject", {}),
        (f"{hold}/raise", {"to": "1000"}),
        (f"{of}/pause", {}),
        (f"{of}/resume", {}),
        (f"{of}/rotate", {"feed": words["feed"]}),
        (f"{of}/retire", {}),
        (f"{observing}/plan", {}),
        (f"{observing}/go-live", {"plan": "pln_x"}),
        ("/connections", {"account": words["account"], "source": "standard", "observe": "yes"}),
    ]
