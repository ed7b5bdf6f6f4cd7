"""Connections: scope, pause, rotation, full lists, the breaker, several at once, turning off."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.story.timeline import Timeline
from tests.story.town import Town
from worker.cli.sender import Hook, Sender


def keep(town: Town, told: Timeline) -> None:
    """C2, C3, G5: held while paused, and secrets that overlap."""
    told.chapter("A pause, and another secret")
    idp = town.idps["acme-idp"]
    town.types("connection", "pause", "acme-idp", "--reason", "maintenance")
    assert idp.standard("user.upserted", {"id": "dee", "email": "dee@example.com"}) == 200
    told.so("C2", "taken and held", lambda: town.newest("dee")["state"] == "held")
    town.types("connection", "resume", "acme-idp", "--reason", "over")
    told.so("C2", "applied when resumed", lambda: town.is_so("acme", "dee", state="invited"))
    made = town.asks("feed", "rotate", town.feeds["acme-idp"])
    fresh = Sender(Hook(idp.hook.url, made["signing_secret"]))
    for sender, key in ((idp, "eli"), (fresh, "fay")):
        assert sender.standard("user.upserted", {"id": key, "email": f"{key}@example.com"}) == 200
        told.so("C3", f"{key}'s secret counts", partial(town.is_so, "acme", key))
    forged = Sender(Hook(idp.hook.url, made["signing_secret"][:-4] + "AAA="))
    told.so("C3", "a wrong one does not", lambda: forged.standard("user.deleted", {}) == 401)


def enter(town: Town, told: Timeline) -> None:
    """S1, S3, G1: who is in the scope of groups, and who is in the provider's list."""
    told.chapter("A connection for the members of one group")
    town.opens_account("globex", "--domain", "globex.example")
    idp = town.connects("globex", "globex-idp", "--scope", "groups:staff")
    idp.standard("group.upserted", {"id": "staff", "name": "Staff"})
    for key in ("hal", "ida", "jo"):
        idp.standard("user.upserted", {"id": key, "email": f"{key}@globex.example"})
    told.so("S1", "in no such group", lambda: town.newest("hal")["reason"] == "out_of_scope")
    for key in ("hal", "ida", "jo"):
        idp.standard("group.member_added", {"group_id": "staff", "user_id": key})
    told.so("S1", "entering invites", lambda: town.is_so("globex", "jo", state="invited"))
    idp.standard("group.member_removed", {"group_id": "staff", "user_id": "hal"})
    told.so(
        "S1 G1", "leaving suspends", lambda: town.is_so("globex", "hal", state="invited_suspended")
    )
    listed = Path(town.environment["ROSTERD_DATA_DIR"]) / "listed"
    listed.write_text("ida\n")
    words = (
        "connection",
        "list-is",
        "globex-idp",
        str(listed),
        "--count",
        "1",
        "--yes",
        "--reason",
        "today",
    )
    town.types(*words, "--reason", "today")
    told.so(
        "S3", "missing in a list: left alone", lambda: town.is_so("globex", "jo", state="invited")
    )
    town.types("connection", "set", "globex-idp", "suspend_unlisted=on", "--reason", "r", "--yes")
    town.types(*words, "--reason", "today")
    told.so(
        "S3",
        "or suspended, where set",
        lambda: town.is_so("globex", "jo", state="invited_suspended"),
    )


def limit(town: Town, told: Timeline) -> None:
    """C6: a disaster is held after the limit, everything else flows."""
    told.chapter("A disaster at the provider")
    town.opens_account("initech", "--domain", "initech.example")
    idp = town.connects("initech", "initech-idp", "--set", "breaker_min=3")
    for number in range(10):
        key = f"p{number}"
        idp.standard("user.upserted", {"id": key, "email": f"{key}@initech.example"})
    told.so("U1", "ten people", lambda: town.is_so("initech", "p9"))
    for number in range(10):
        idp.standard("user.suspended", {"id": f"p{number}"})
    (hold,) = told.so("C6", "held beyond three", lambda: town.asks("hold", "list"))
    idp.standard("user.upserted", {"id": "new", "email": "new@initech.example"})
    told.so("C6", "who comes is not held", lambda: town.is_so("initech", "new", state="invited"))
    town.types("hold", "approve", str(hold["id"]), "--reason", "it is meant", "--yes")
    told.so(
        "C6",
        "approved: all of them are out",
        lambda: all(town.is_so("initech", f"p{n}", state="invited_suspended") for n in range(10)),
    )


def end(town: Town, told: Timeline) -> None:
    """C7: turning off suspends and mails nobody."""
    told.chapter("Provisioning is turned off")
    letters = len(town.post.within("example.com"))
    town.types("connection", "retire", "acme-idp", "--reason", "we part", "--yes")
    idp = town.idps["acme-idp"]
    told.so("C7", "no request counts", lambda: idp.standard("user.deleted", {"id": "dee"}) == 401)
    told.so("C7", "nobody is suspended", lambda: town.is_invited("acme", "dee@example.com"))
    assert town.post.within("example.com")[letters:] == [], "nobody is mailed"
    town.clicks("dee@example.com")
    told.so(
        "C7 U2",
        "an open invitation still counts",
        lambda: (town.person("acme", email="dee@example.com") or {}).get("state") == "active",
    )
