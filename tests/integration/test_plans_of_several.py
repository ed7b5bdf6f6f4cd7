"""C4: a provider's operator freezes, sees and starts what is dead in several of its accounts."""

from __future__ import annotations

import pytest

from tests.api import Client, is_problem
from tests.console import Operator
from tests.harness import Rosterd

ASKED = {"reason": "domain_not_allowed"}


@pytest.fixture
def family(rosterd: Rosterd) -> None:
    """A parent and its child, each with somebody whom its domains keep out."""
    for name, parent in (("msp", ()), ("child", ("--parent", "msp"))):
        made = rosterd.cli("account", "add", name, "--domain", "example.com", *parent)
        assert made.returncode == 0, made.stderr
        rosterd.hire(rosterd.connect(name, name=f"{name}-c"), "x1", "x1@elsewhere.test")
        with rosterd.setup() as use:
            use.allow_domain(use.account(name)["id"], "elsewhere.test")


def test_c4_g8_a_parents_plan_over_two_accounts_is_seen_and_started(
    rosterd: Rosterd, family: None
) -> None:
    """Who froze it has to look before they start it; it belongs to no one child's operator."""
    app = Client(rosterd, "operations:read", "operations:write", account="msp")
    plan = app.post("/replays", ASKED, 201)
    assert plan["count"] == 2
    path = f"/replays/{plan['id']}"
    assert app.get(path)["count"] == 2
    child = Client(rosterd, "operations:read", "operations:write", account="child")
    is_problem(child.ask("GET", path), 404, "not_found")
    start = {"json": {}, "headers": {"X-Reason": "the domain is allowed"}}
    is_problem(child.ask("POST", f"{path}/start", **start), 404, "not_found")
    begun = app.ask("POST", f"{path}/start", **start)
    assert begun.status_code == 200, begun.text
    rosterd.drain()
    assert rosterd.dead() == []


def test_c4_g8_the_console_shows_a_parents_operator_the_plan_that_they_made(
    rosterd: Rosterd, family: None
) -> None:
    """The page that follows the form is the plan's own, not word that there is none."""
    boss = Operator(rosterd, "operator", account="msp")
    told = boss.post("/replays", at="/dead-letters/list?reason=domain_not_allowed", **ASKED)
    assert told.status_code == 303, told.text
    place = told.headers["location"].partition("?")[0]
    assert boss.ask(told.headers["location"]).status_code == 200
    childs = Operator(rosterd, "operator", account="child", name="childs")
    assert childs.ask(place).status_code == 404
    rosterd.parts.replays.conduct.run()
    assert boss.ask(place).status_code == 200
