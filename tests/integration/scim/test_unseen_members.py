"""G7: members of whom nobody has told yet are kept, shown, and can be taken out again."""

from __future__ import annotations

from tests.harness import Rosterd
from tests.scim import Provider, provider


def members(idp: Provider, group: str) -> list[str]:
    found = idp.get(group, kind="Groups").get("members", [])
    return [one["value"] for one in found]


def effective(rosterd: Rosterd) -> dict[str, bool]:
    lines = [one for one in rosterd.export() if one["kind"] == "membership"]
    return {one["user"]: one["effective"] for one in lines}


def test_g7_they_wait_and_do_not_count(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    ana = idp.hire("ana")
    crew = idp.group("Crew", ana["id"], "nobody")
    assert set(members(idp, crew["id"])) == {ana["id"], "nobody"}
    assert effective(rosterd) == {ana["id"]: True, "nobody": False}
    idp.leave(crew["id"], "nobody")
    assert members(idp, crew["id"]) == [ana["id"]]
    idp.join(crew["id"], "nobody")
    whole = {"op": "replace", "path": "members", "value": [{"value": "other"}]}
    idp.patch(crew["id"], whole, kind="Groups")
    assert members(idp, crew["id"]) == ["other"]


def test_g7_they_are_in_with_their_first_word_if_it_names_them(rosterd: Rosterd) -> None:
    """A provider that names members by its own ids is understood once it tells of them."""
    idp = provider(rosterd)
    crew = idp.group("Crew", "e1")
    assert effective(rosterd) == {"e1": False}
    ana = idp.hire("ana", externalId="e1")
    assert effective(rosterd) == {"e1": True}
    assert members(idp, crew["id"]) == [ana["id"]]


def test_g1_who_is_deleted_is_no_longer_shown(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    ana, bob = idp.hire("ana"), idp.hire("bob", externalId="e2")
    crew = idp.group("Crew", ana["id"], bob["id"], "nobody")
    for one in (ana, bob):
        idp.told("DELETE", f"/Users/{one['id']}", status=204)
    assert members(idp, crew["id"]) == ["nobody"]
