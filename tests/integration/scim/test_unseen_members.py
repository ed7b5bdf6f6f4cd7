"""G7: members of whom nobody has told yet are kept, shown, and can be taken out again."""

from __future__ import annotations

from tests.harness import Rosterd
from tests.scim import GROUP, Provider, is_error, provider


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


def test_g7_a_group_is_no_member_whether_or_not_its_type_is_told(rosterd: Rosterd) -> None:
    """RFC 7643, 4.2 leaves `type` to the client; kept as somebody unknown, it would never count."""
    idp = provider(rosterd)
    ana, inner = idp.hire("ana"), idp.group("Inner")
    crew = idp.group("Crew", ana["id"])
    told = [
        idp.join(crew["id"], "nobody", inner["id"], status=400),
        idp.group("Outer", inner["id"], status=400),
        idp.join(crew["id"], crew["id"], status=400),
        is_error(
            idp.ask("PUT", f"/Groups/{crew['id']}", listed("Crew", inner["id"])),
            400,
            "invalidValue",
        ),
    ]
    named = [inner["id"], inner["id"], crew["id"], inner["id"]]
    for one, id_ in zip(told, named, strict=True):
        assert one["scimType"] == "invalidValue"
        assert one["detail"].startswith(f"members: {id_} is a group")
    assert members(idp, crew["id"]) == [ana["id"]]
    idp.leave(crew["id"], inner["id"])
    assert members(idp, crew["id"]) == [ana["id"]]


def test_g7_another_accounts_group_is_somebody_unknown_like_any(rosterd: Rosterd) -> None:
    """What an answer tells of an id of another account is what it tells of any."""
    other, idp = provider(rosterd, name="other"), provider(rosterd)
    theirs, crew = other.group("Theirs"), idp.group("Crew")
    idp.join(crew["id"], theirs["id"])
    assert members(idp, crew["id"]) == [theirs["id"]]


def listed(name: str, *members: str) -> dict[str, object]:
    """A group as a PUT describes it."""
    return {
        "schemas": [GROUP],
        "displayName": name,
        "members": [{"value": one} for one in members],
    }
