"""ETags (RFC 7644, 3.14): the version changes whenever what is shown does, whoever changed it."""

from __future__ import annotations

import pytest

from tests.harness import Feed, Rosterd
from tests.scim import Provider, provider, speaking
from worker.adapters.db import scim_reading


@pytest.fixture
def two(rosterd: Rosterd) -> tuple[Provider, Feed]:
    """SCIM, and a hook of the same connection."""
    feed = rosterd.account(source="scim", scim_state="always")
    return speaking(rosterd, feed), rosterd.feed(feed)


def tag(idp: Provider, path: str) -> str:
    told = idp.ask("GET", path)
    assert told.headers["etag"] == told.json()["meta"]["version"]
    return str(told.headers["etag"])


def is_known(idp: Provider, path: str, version: str) -> bool:
    told = idp.ask("GET", path, If_None_Match=version)
    assert told.status_code in (200, 304)
    return bool(told.status_code == 304)


def test_g1_a_hook_changes_the_version_of_a_group(
    two: tuple[Provider, Feed], rosterd: Rosterd
) -> None:
    idp, hook = two
    ana = idp.hire("ana", externalId="u1")
    crew = idp.group("Crew", externalId="g1")
    path = f"/Groups/{crew['id']}"
    versions = [tag(idp, path)]
    for kind in ("group.member_added", "group.member_removed"):
        rosterd.tell(hook, kind, {"group_id": "g1", "user_id": "u1"})
        versions.append(tag(idp, path))
    # Newer than what SCIM said (D2).
    rosterd.tell(hook, "group.upserted", {"id": "g1", "name": "Team"}, at=3_660)
    versions.append(tag(idp, path))
    assert [is_known(idp, path, one) for one in versions] == [False, False, False, True]
    assert versions[0] == versions[2], "the same is shown again"
    assert versions[0] != versions[1] != versions[3]
    assert idp.get(crew["id"], kind="Groups")["displayName"] == "Team"
    assert idp.ask("GET", f"/Users/{ana['id']}").status_code == 200


def test_g1_who_leaves_changes_the_version_of_the_group(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    ana, bob = idp.hire("ana"), idp.hire("bob")
    crew = idp.group("Crew", ana["id"], bob["id"])
    path = f"/Groups/{crew['id']}"
    assert is_known(idp, path, crew["meta"]["version"])
    idp.told("DELETE", f"/Users/{bob['id']}", status=204)
    assert not is_known(idp, path, crew["meta"]["version"])
    assert [one["value"] for one in idp.get(crew["id"], kind="Groups")["members"]] == [ana["id"]]


def test_u8_what_a_hook_or_the_member_does_changes_the_version_of_a_user(
    two: tuple[Provider, Feed], rosterd: Rosterd
) -> None:
    idp, hook = two
    ana = idp.hire("ana", externalId="u1")
    path = f"/Users/{ana['id']}"
    versions = [tag(idp, path)]
    rosterd.accept("ana@example.com")
    versions.append(tag(idp, path))
    rosterd.tell(hook, "user.suspended", {"id": "u1"})
    versions.append(tag(idp, path))
    rosterd.tell(hook, "group.upserted", {"id": "g1", "name": "Crew"})
    rosterd.tell(hook, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    versions.append(tag(idp, path))
    assert len(set(versions)) == len(versions)
    assert [is_known(idp, path, one) for one in versions] == [False, False, False, True]
    # None of it is SCIM's own write: nobody's update is lost by it.
    done = idp.ask("DELETE", path, If_Match=versions[0])
    assert done.status_code == 204


def test_a_group_too_large_to_be_looked_through_is_never_known_already(
    two: tuple[Provider, Feed], rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scim_reading, "PAGE", 2)
    idp, _ = two
    crew = idp.group("Crew", *(idp.hire(name)["id"] for name in ("ana", "bob", "cy")))
    path = f"/Groups/{crew['id']}"
    version = tag(idp, path)
    assert not is_known(idp, path, version)
    assert is_known(idp, path, "*")
    assert len(idp.get(crew["id"], kind="Groups")["members"]) == 3
    part = {"op": "replace", "path": "displayName", "value": "Team"}
    body = {"Operations": [part]}
    assert idp.ask("PATCH", path, body, If_Match=version).status_code in (200, 204)
    assert idp.ask("PATCH", path, body, If_Match=version).status_code == 412
