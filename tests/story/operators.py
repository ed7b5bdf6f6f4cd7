"""What operators and the application do: hear, override, observe, go live, several providers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.story.timeline import Timeline
from tests.story.town import Town


def listen(town: Town, told: Timeline) -> None:
    """The application hears of every change from now on (U3 within milliseconds)."""
    told.chapter("The application wants to hear of changes")
    made = town.asks("endpoint", "add", town.application.url, "--account", "acme")
    town.application.secret = made["signing_secret"]
    idp = town.idps["acme-idp"]
    idp.standard("user.upserted", {"id": "kim", "email": "kim@example.com"})
    told.so("U1", "it hears of Kim", lambda: town.application.of("user.invited"))
    town.clicks("kim@example.com")
    told.so("U2", "who accepts", lambda: town.application.of("user.activated"))
    idp.standard("user.suspended", {"id": "kim"})
    told.so("U3", "and is out: her sessions end", lambda: town.application.of("user.suspended"))


def refuse(town: Town, told: Timeline) -> None:
    """E1, E7: what the application and the mail server say no to."""
    told.chapter("What is refused")
    ana = town.person("acme", external_id="cy") or {}
    body = {"email": "ana@elsewhere.example"}
    status, problem = town.calls(
        "acme", "PUT", f"/users/{ana['id']}/email", body, **{"X-Reason": "she asked"}
    )
    told.so(
        "E1",
        "her address is the provider's",
        lambda: (status, problem["code"]) == (409, "managed_by_idp"),
    )
    told.so(
        "E7",
        "whom the mail server refuses for good is shown so",
        lambda: town.asks("user", "list", "--email", "nobody@example.com")[0]["undeliverable"],
    )


def override(town: Town, told: Timeline) -> None:
    """U9: an operator outranks the provider for a while."""
    told.chapter("Kim is needed until this evening")
    kim = town.person("acme", external_id="kim") or {}
    until = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    town.types("user", "override", kim["id"], "active", "--until", until, "--reason", "handover")
    told.so("U9", "back, against the provider", lambda: town.is_so("acme", "kim", state="active"))
    told.so("U9", "until it ends by itself", lambda: town.is_so("acme", "kim", state="suspended"))


def delete(town: Town, told: Timeline) -> None:
    """U5: who is deleted for good stays away, until a newer word makes a new person."""
    told.chapter("Kim asks to be forgotten")
    idp, kim = town.idps["acme-idp"], town.person("acme", external_id="kim") or {}
    town.types("user", "delete", kim["id"], "--reason", "she asked for it", "--yes")
    told.so("U5", "she is gone", lambda: town.person("acme", external_id="kim") is None)
    body = {"id": "kim", "email": "kim@example.com", "active": True}
    idp.standard("user.upserted", body, at=datetime.now(UTC) - timedelta(hours=1))
    told.so("U5", "an older word is no news", lambda: town.newest("kim")["state"] == "ended")
    assert town.person("acme", external_id="kim") is None
    idp.standard("user.upserted", body)
    told.so("U5", "a newer one makes a new person", lambda: town.is_so("acme", "kim"))
    assert (town.person("acme", external_id="kim") or {})["id"] != kim["id"]


def observe(town: Town, told: Timeline) -> None:
    """S4, C1: a second provider is observed, planned, and goes live as it was planned."""
    told.chapter("Another provider is tried before it counts")
    town.opens_account("hooli", "--domain", "hooli.example", "--several")
    town.connects("hooli", "hooli-first")
    idp = town.connects("hooli", "hooli-new", "--observe")
    for key in ("lea", "max", "ned"):
        domain = "hooli.example" if key != "ned" else "elsewhere.example"
        idp.standard("user.upserted", {"id": key, "email": f"{key}@{domain}"})
    told.so("S4", "stored and held", lambda: town.newest("ned")["state"] == "held")
    assert town.person("hooli", external_id="lea") is None
    plan = town.asks("connection", "plan", "hooli-new")
    told.so("S4", "planned: two invited, one refused", lambda: plan["people"]["invite"] == 2)
    town.types(
        "connection", "go-live", "hooli-new", "--plan", plan["plan"], "--reason", "r", "--yes"
    )
    told.so("S4", "and so it is", lambda: town.is_so("hooli", "max", state="invited"))
    assert town.newest("ned")["reason"] == "domain_not_allowed"
    other = town.idps["hooli-first"]
    other.standard("user.upserted", {"id": "other", "email": "max@hooli.example"})
    told.so(
        "C1 U7",
        "whom another provider governs is not adopted",
        lambda: town.newest("other")["reason"] == "owned_elsewhere",
    )


def belong(town: Town, told: Timeline) -> None:
    """C4: a parent's children."""
    told.chapter("A company that serves others")
    town.opens_account("msp")
    town.opens_account("pied", "--parent", "msp", "--domain", "pied.example")
    shown = town.asks("account", "show", "msp")
    told.so("C4", "it has a child", lambda: "pied" in str(shown))
