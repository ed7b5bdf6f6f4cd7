"""People: invited, accepted, moved, suspended, brought back."""

from __future__ import annotations

from tests.story.timeline import Timeline
from tests.story.town import Town


def hire(town: Town, told: Timeline) -> None:
    """U1, U2, U10, E3, S2, G7."""
    told.chapter("Ana is hired")
    idp = town.idps["acme-idp"]
    idp.standard("group.member_added", {"group_id": "g1", "user_id": "ana"})
    idp.standard("user.upserted", {"id": "ana", "email": "anna@example.com"})
    told.so("U1", "unknown, so invited by mail", lambda: town.post.link("anna@example.com"))
    told.so("U10", "her full state is told", lambda: town.is_so("acme", "ana", state="invited"))
    old = town.post.link("anna@example.com")
    idp.standard("user.email_changed", {"id": "ana", "email": "ana@example.com"})
    told.so(
        "E3",
        "still invited, so the new address is in force at once",
        lambda: town.is_so("acme", "ana", email="ana@example.com", state="invited"),
    )
    told.so("E3 E6", "and mailed a link", lambda: town.post.link("ana@example.com"))
    assert old is not None
    told.so("E6", "the old link is dead", lambda: "does not work" in town.visits(old))
    idp.standard("group.upserted", {"id": "g1", "name": "Engineering"})
    told.so("G7 G1", "her membership came before both", lambda: "Engineering" in _groups(town))
    town.clicks("ana@example.com")
    told.so("U2", "accepted on a phone", lambda: town.is_so("acme", "ana", state="active"))
    idp.standard("user.upserted", {"id": "gus", "email": "gus@example.com", "user_type": "guest"})
    told.so(
        "S2", "a guest is nobody's to provision", lambda: _ended(town, "gus", "ignored", "guest")
    )


def move(town: Town, told: Timeline) -> None:
    """E1, E2, E6, E4, E7."""
    told.chapter("Ana's address")
    idp = town.idps["acme-idp"]
    idp.standard("user.email_changed", {"id": "ana", "email": "ana.silva@example.com"})
    told.so("E2", "the new address is asked", lambda: town.post.link("ana.silva@example.com"))
    told.so(
        "E2",
        "the old one hears of it and stays in force",
        lambda: (
            len(town.post.to("ana@example.com")) == 2
            and town.is_so("acme", "ana", email="ana@example.com")
        ),
    )
    town.clicks("ana.silva@example.com")
    told.so(
        "E2",
        "yes: it is in force",
        lambda: town.is_so("acme", "ana", email="ana.silva@example.com"),
    )
    idp.standard("user.upserted", {"id": "bo", "email": "bo@partner.example"})
    told.so(
        "E4",
        "a domain that nobody allowed",
        lambda: _ended(town, "bo", "dead", "domain_not_allowed"),
    )
    town.types("domain", "allow", "acme", "partner.example", "--replay", "--reason", "a partner")
    told.so("E4", "allowed, and exactly that replayed", lambda: town.is_so("acme", "bo"))
    idp.standard("user.upserted", {"id": "no", "email": "nobody@example.com"})
    told.so("U1", "whom no letter reaches", lambda: town.is_so("acme", "no", state="invited"))


def leave(town: Town, told: Timeline) -> None:
    """U3, U4, U8, E5, E8."""
    told.chapter("Ana leaves, and returns with another address")
    idp = town.idps["acme-idp"]
    idp.standard("user.suspended", {"id": "ana"})
    told.so("U3", "out", lambda: town.is_so("acme", "ana", state="suspended"))
    idp.standard("user.upserted", {"id": "ana", "email": "ana.silva@example.com"})
    told.so(
        "U8", "a full update without a word on it", lambda: _ended(town, "ana", "unchanged", None)
    )
    idp.standard("user.upserted", {"id": "cy", "email": "ana.silva@example.com"})
    told.so(
        "E8",
        "a rehire is the same person",
        lambda: town.is_so("acme", "cy", email="ana.silva@example.com"),
    )
    idp.standard("user.suspended", {"id": "bo"})
    told.so("U3", "who never accepted", lambda: town.is_so("acme", "bo", state="invited_suspended"))
    idp.standard("user.reactivated", {"id": "bo"})
    told.so("U4", "is invited anew", lambda: len(town.post.to("bo@partner.example")) == 2)
    town.clicks("bo@partner.example")
    told.so("U2", "and accepts", lambda: town.is_so("acme", "bo", state="active"))
    idp.standard("user.suspended", {"id": "bo"})
    told.so("U3", "out again", lambda: town.is_so("acme", "bo", state="suspended"))
    idp.standard("user.email_changed", {"id": "bo", "email": "bo@example.com"})
    idp.standard("user.reactivated", {"id": "bo"})
    told.so(
        "E5",
        "changed while suspended: a new person is invited",
        lambda: town.is_so("acme", "bo", email="bo@example.com", state="invited"),
    )


def _ended(town: Town, subject: str, outcome: str, reason: str | None) -> bool:
    """Whether the newest event about somebody ended so."""
    newest = town.newest(subject)
    return (newest["outcome"], newest["reason"] or None) == (outcome, reason)


def _groups(town: Town) -> list[str]:
    """Names of Ana's groups."""
    ana = town.person("acme", external_id="ana") or {}
    _, found = town.calls("acme", "GET", f"/users/{ana['id']}/groups")
    return [group["name"] for group in found["items"]]
