"""Which provider speaks is found out by itself, and shown on the feed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from tests.harness import Rosterd
from tests.scim import PATCH, Provider, provider
from worker.adapters.db import rows


def shown(rosterd: Rosterd) -> Any:
    (feed,) = rosterd.json("feed", "list", "scim")
    return feed["dialect"]


def later(rosterd: Rosterd) -> None:
    """So much later that the feed is noted as heard again."""
    with rosterd.parts.database.begin() as sql:
        sql.execute(update(rows.feeds).values(last_heard_at=None))
        sql.commit()


def test_by_how_it_calls_itself(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    assert shown(rosterd) is None
    idp.ask("GET", "/Users", User_Agent="curl/8")
    assert shown(rosterd) is None
    idp.ask("GET", "/Users?startIndex=1&count=2", User_Agent="Okta SCIM Client 1.0.0")
    assert shown(rosterd) == "okta"
    done = rosterd.cli("feed", "list", "scim")
    assert "okta" in done.stdout


def test_by_its_habits(rosterd: Rosterd) -> None:
    """Entra ID sends no User-Agent."""
    idp = provider(rosterd)
    ana = idp.hire("ana")
    assert shown(rosterd) is None
    part = {"op": "Replace", "path": "active", "value": "False"}
    body = {"schemas": [PATCH], "Operations": [part]}
    idp.ask("PATCH", f"/Users/{ana['id']}", body, User_Agent="")
    assert shown(rosterd) == "entra"


def test_who_takes_over_is_shown_once_the_feed_is_noted_again(rosterd: Rosterd) -> None:
    """Written no oftener than that the feed was heard."""
    idp: Provider = provider(rosterd)
    idp.ask("GET", "/Users", User_Agent="Okta SCIM Client 1.0.0")
    idp.ask("GET", "/Users", User_Agent="JumpCloud")
    assert shown(rosterd) == "okta"
    later(rosterd)
    idp.ask("GET", "/Users", User_Agent="JumpCloud")
    assert shown(rosterd) == "jumpcloud"
