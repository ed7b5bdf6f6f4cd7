"""Groups that no provider may touch, and people whom it may not."""

from __future__ import annotations

from tests.story.timeline import Timeline
from tests.story.town import Town

REASON = ("--account", "acme", "--reason", "the story")


def protect(town: Town, told: Timeline) -> None:
    """G2 to G6, U6."""
    told.chapter("What a provider may not touch")
    idp = town.idps["acme-idp"]
    idp.standard("group.upserted", {"id": "own", "name": "Owners"})
    told.so("G5", "a built-in group", lambda: town.newest("own")["reason"] == "protected_group")
    town.types("group", "add", "Sales", *REASON)
    idp.standard("group.upserted", {"id": "s1", "name": "Sales"})
    told.so("G2", "a group made by hand", lambda: town.newest("s1")["reason"] == "group_exists")
    words = ("group", "member", "add", "Engineering", "olga@example.com", *REASON)
    refused = town.types(*words, code=1)
    told.so("G6", "and nobody a managed one by hand", lambda: "managed_group" in refused.stderr)
    town.types("group", "grant", "Engineering", "recover_accounts", *REASON)
    idp.standard("group.upserted", {"id": "g1", "name": "Engineers"})
    told.so(
        "G3",
        "a group that may recover accounts leaves management",
        lambda: town.newest("g1")["reason"] == "protected_group",
    )
    idp.standard("user.upserted", {"id": "olga", "email": "olga@example.com"})
    told.so("U6", "the last owner", lambda: town.newest("olga")["reason"] == "protected_user")
    idp.standard("user.upserted", {"id": "pat", "email": "pat@example.com"})
    told.so("U1", "Pat is invited", lambda: town.is_so("acme", "pat", state="invited"))
    town.types("group", "member", "add", "Provision Managers", "olga@example.com", *REASON)
    told.so("G4", "her space can be opened", lambda: _opens(town))
    town.clicks("pat@example.com")
    told.so("G4", "until she accepts", lambda: not _opens(town))


def _opens(town: Town) -> bool:
    words = ("user", "private-space", "pat@example.com", "--by", "olga@example.com")
    return bool(town.asks(*words, "--account", "acme")["allowed"])
