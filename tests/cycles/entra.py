"""Entra ID: it looks before it writes, and writes only what it finds to differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import uuid4

from tests.cycles.staff import Person, Team, accept, compare, some
from tests.cycles.wire import Object, Wire

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
MICROSOFT = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
WORK = 'emails[type eq "work"].value'


@dataclass
class Entra:
    """The provisioning service of one enterprise application."""

    wire: Wire
    people: list[Person]
    teams: list[Team]
    ids: dict[str, str] = field(default_factory=dict)

    # -- what it sends -----------------------------------------------------------------

    def test_connection(self) -> None:
        """Looks for somebody who cannot exist."""
        found = self.wire.read("/Users", filter=f'userName eq "{uuid4()}"')
        assert found["totalResults"] == 0

    def provision(self, people: Iterable[Person], teams: Iterable[Team] = ()) -> None:
        """A cycle over these: each is matched, made or mended; then groups and their members."""
        for person in people:
            self._person(person)
        for team in teams:
            self._team(team)

    def _person(self, person: Person) -> None:
        found = self._found(person)
        if found is None:
            if not person.is_in:
                return
            made = self.wire.send("POST", "/Users", self._new(person)).json()
            person.id, person.is_known = made.get("id", ""), True
            return
        person.id, person.is_known = found["id"], True
        differing = self._differences(person, found)
        if differing:
            self.wire.patch(f"/Users/{person.id}", *differing)

    def _found(self, person: Person) -> Object | None:
        """By the cached id, else by the matching attribute."""
        if person.id:
            return self.wire.read(f"/Users/{person.id}")
        listed = self.wire.read("/Users", filter=f'userName eq "{person.name}"')
        resources: list[Object] = listed.get("Resources", [])
        return resources[0] if resources else None

    def _new(self, person: Person) -> Object:
        return {
            "schemas": [USER, ENTERPRISE],
            "externalId": person.key,
            "userName": person.name,
            "active": True,
            "displayName": person.full,
            "title": person.title,
            "emails": [{"primary": True, "type": "work", "value": person.name}],
            "meta": {"resourceType": "User"},
            "name": {
                "formatted": person.full,
                "familyName": person.family,
                "givenName": person.given,
            },
            "roles": [],
        }

    def _differences(self, person: Person, found: Object) -> list[Object]:
        """Mapped attributes that are not as they should be; active is sent as a text."""
        emails = [one.get("value") for one in found.get("emails", []) if one.get("type") == "work"]
        name = found.get("name", {})
        mapped = (
            ("userName", found.get("userName"), person.name),
            (WORK, emails[0] if emails else None, person.name),
            ("displayName", found.get("displayName"), person.full),
            ("title", found.get("title"), person.title),
            ("name.givenName", name.get("givenName"), person.given),
            ("name.familyName", name.get("familyName"), person.family),
            ("externalId", found.get("externalId"), person.key),
        )
        operations = [
            {"op": "Replace" if was else "Add", "path": path, "value": value}
            for path, was, value in mapped
            if was != value
        ]
        if found.get("active", True) is not person.is_in:
            operations.append({"op": "Replace", "path": "active", "value": str(person.is_in)})
        return operations

    def _team(self, team: Team) -> None:
        if not team.id:
            asked = f'displayName eq "{team.name}"'
            listed = self.wire.read("/Groups", excludedAttributes="members", filter=asked)
            found = listed.get("Resources", [])
            if found:
                team.id = found[0]["id"]
            else:
                new = {"schemas": [GROUP, MICROSOFT], "externalId": team.key}
                new |= {"displayName": team.name, "meta": {"resourceType": "Group"}}  # type: ignore[dict-item]
                team.id = self.wire.send("POST", "/Groups", new).json().get("id", "")
            team.is_known = True
            self.join(team, team.members)
            return
        known = self.wire.read(f"/Groups/{team.id}", excludedAttributes="members")
        if known["displayName"] != team.name:
            told = {"op": "Replace", "path": "displayName", "value": team.name}
            self.wire.patch(f"/Groups/{team.id}", told)

    def join(self, team: Team, keys: Iterable[str]) -> None:
        self._members(team, "Add", keys)

    def leave(self, team: Team, keys: Iterable[str]) -> None:
        """A remove with a list of values, which must not empty the group."""
        self._members(team, "Remove", keys)

    def _members(self, team: Team, op: str, keys: Iterable[str]) -> None:
        ids = {one.key: one.id for one in self.people}
        value = [{"$ref": None, "value": ids[key]} for key in sorted(keys)]
        self.wire.patch(f"/Groups/{team.id}", {"op": op, "path": "members", "value": value})

    # -- its days ----------------------------------------------------------------------

    def live(self) -> None:
        """From the test of the connection to the last hard delete."""
        self._begin()
        self._change()
        self._disable()
        self._delete()

    def _begin(self) -> None:
        with self.wire.phase("test connection"):
            self.test_connection()
        with self.wire.phase("initial cycle") as phase:
            self.provision(self.people, self.teams)
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _change(self) -> None:
        for person in some(self.people, 1, of=10):
            person.title = "Head"
        with self.wire.phase("incremental: titles") as phase:
            self.provision(some(self.people, 1, of=10))
        compare(self.wire.rosterd, phase, self.people, self.teams)
        for person in some(self.people, 2, of=20):
            person.family, person.name = f"{person.family}-New", f"new.{person.name}"
        with self.wire.phase("incremental: names and addresses") as phase:
            self.provision(some(self.people, 2, of=20))
        compare(self.wire.rosterd, phase, self.people, self.teams)
        self._move()
        self._regroup()

    def _move(self) -> None:
        """E2: who has accepted is asked first; SCIM answers with what was told all the same."""
        person, rosterd = self.people[0], self.wire.rosterd
        old, person.name = person.name, f"moved.{person.name}"
        accept(rosterd, old)
        with self.wire.phase("address of one who accepted, twice") as phase:
            self.provision([person])
            self.provision([person])
            if phase.requests["PATCH"] != 1:
                phase.faults.append("the change of address was told again")
        found = rosterd.user(person.key)
        if found is None or found["email"] != old:
            phase.faults.append("an address is in force that nobody has confirmed")
        compare(rosterd, phase, self.people, self.teams)

    def _regroup(self) -> None:
        first, last = self.teams[0], self.teams[-1]
        moved = sorted(first.members)[:3]
        with self.wire.phase("members moved, group renamed") as phase:
            self.leave(first, moved)
            first.members -= set(moved)
            self.join(last, moved)
            last.members |= set(moved)
            last.name = "Team Renamed"
            self._team(last)
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _disable(self) -> None:
        gone = some(self.people, 3, of=20)
        for is_in, name in ((False, "disabled or unassigned"), (True, "enabled again")):
            for person in gone:
                person.is_in = is_in
            with self.wire.phase(name) as phase:
                self.provision(gone)
            compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("restart: everybody once more") as phase:
            for person in self.people:
                person.id = ""
            self.provision(self.people, self.teams)
            if phase.requests["POST"] or phase.requests["PATCH"]:
                phase.faults.append("a restart wrote something")
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _delete(self) -> None:
        gone = some(self.people, 4, of=20)
        for person in gone:
            person.is_in = False
        with self.wire.phase("soft delete") as phase:
            self.provision(gone)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("hard delete, 30 days later") as phase:
            for person in gone:
                self.wire.send("DELETE", f"/Users/{person.id}")
        compare(self.wire.rosterd, phase, self.people, self.teams)
        for person in gone:
            person.id, person.is_in = "", True
        with self.wire.phase("hired again") as phase:
            self.provision(gone)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("group deleted") as phase:
            team = self.teams[0]
            self.wire.send("DELETE", f"/Groups/{team.id}")
            team.is_known = False
        compare(self.wire.rosterd, phase, self.people, self.teams)
