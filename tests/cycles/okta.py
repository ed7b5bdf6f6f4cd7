"""Okta: whole persons by PUT, groups by push, and an event hook for what SCIM does not say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from tests.cycles.staff import Person, Team, compare, some
from tests.cycles.wire import Object, Wire
from tests.harness import Feed

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
AGENT = "Okta SCIM Client 1.0.0"
PAGE = 100


@dataclass
class Okta:
    """One application with provisioning by SCIM, and one event hook. hook: its feed."""

    wire: Wire
    people: list[Person]
    teams: list[Team]
    hook: Feed

    # -- what it sends -----------------------------------------------------------------

    def test_connector(self) -> None:
        """Constant parameters, whatever the service holds."""
        self.wire.read("/Users", startIndex=1, count=2)
        self.wire.read("/Groups", startIndex=1, count=100)

    def assign(self, people: Iterable[Person]) -> None:
        """Found by userName and brought up to date, else made."""
        for person in people:
            asked = {"filter": f'userName eq "{person.name}"', "startIndex": 1, "count": PAGE}
            found = self.wire.read("/Users", **asked).get("Resources", [])  # type: ignore[arg-type]
            if found:
                person.id = found[0]["id"]
                self.push(person)
            else:
                body = {**self._whole(person), "password": "throw-away"}
                person.id = self.wire.send("POST", "/Users", body).json().get("id", "")
            person.is_known = True

    def push(self, person: Person) -> None:
        """GET, then PUT of the whole person."""
        self.wire.read(f"/Users/{person.id}")
        self.wire.send("PUT", f"/Users/{person.id}", {**self._whole(person), "id": person.id})

    def _whole(self, person: Person) -> Object:
        return {
            "schemas": [USER],
            "userName": person.name,
            "name": {"givenName": person.given, "familyName": person.family},
            "emails": [{"primary": True, "value": person.name, "type": "work"}],
            "displayName": person.full,
            "title": person.title,
            "locale": "en-US",
            "externalId": person.key,
            "groups": [],
            "active": person.is_in,
        }

    def deactivate(self, person: Person) -> None:
        """As applications of the catalogue do: without a path."""
        value = {"active": False}
        self.wire.patch(f"/Users/{person.id}", {"op": "replace", "value": value})

    def push_group(self, team: Team) -> None:
        """Linked by name or made without members, which come in a PATCH of their own."""
        found = self.wire.read("/Groups", filter=f'displayName eq "{team.name}"')
        if found["totalResults"]:
            team.id = found["Resources"][0]["id"]
        else:
            body = {"schemas": [GROUP], "displayName": team.name, "members": []}
            team.id = self.wire.send("POST", "/Groups", body).json().get("id", "")
        # Okta tells no id of its own for a group: ours is the key that it is known by.
        team.key, team.is_known = team.id, True
        self._members(team, "add", team.members)

    def _members(self, team: Team, op: str, keys: Iterable[str]) -> None:
        """The group's name comes along with each change of members."""
        people = {one.key: one for one in self.people}
        value = [{"value": people[k].id, "display": people[k].name} for k in sorted(keys)]
        name = {"op": "replace", "value": {"id": team.id, "displayName": team.name}}
        if op == "remove":
            gone = [{"op": op, "path": f'members[value eq "{one["value"]}"]'} for one in value]
            self.wire.patch(f"/Groups/{team.id}", name, *gone)
        else:
            told = {"op": op, "path": "members", "value": value}
            self.wire.patch(f"/Groups/{team.id}", name, told)

    def tell(self, event: str, people: Iterable[Person]) -> None:
        """The event hook, and what a worker does with it."""
        for person in people:
            target = {"id": person.key, "type": "User", "alternateId": person.name}
            told = {
                "uuid": str(uuid4()),
                "published": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "eventType": event,
                "outcome": {"result": "SUCCESS"},
                "target": [{**target, "displayName": person.full}],
            }
            body = {"eventType": "com.okta.event_hook", "data": {"events": [told]}}
            answer = self.wire.rosterd.http.post(
                self.hook.path,
                content=json.dumps(body).encode(),
                headers={"Authorization": self.hook.secret, "Content-Type": "application/json"},
            )
            self.wire.phases[-1].requests["hook"] += 1
            self.wire.phases[-1].statuses[answer.status_code] += 1
        self.wire.rosterd.drain()

    # -- its days ----------------------------------------------------------------------

    def live(self) -> None:
        """From the test of the connector to the unlinked group."""
        self._begin()
        self._change()
        self._suspend()
        self._deactivate()
        self._end()

    def _begin(self) -> None:
        with self.wire.phase("test connector"):
            self.test_connector()
        with self.wire.phase("assign everybody") as phase:
            self.assign(self.people)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("import: who is there") as phase:
            if self._imported() != {one.id for one in self.people}:
                phase.faults.append("the pages do not hold everybody once")
        with self.wire.phase("push groups") as phase:
            for team in self.teams:
                self.push_group(team)
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _imported(self) -> set[str]:
        found: list[str] = []
        while True:
            page = self.wire.read("/Users", startIndex=len(found) + 1, count=PAGE)
            found += [one["id"] for one in page.get("Resources", [])]
            if len(found) >= page["totalResults"] or not page.get("Resources"):
                return set(found) if len(found) == len(set(found)) else set()

    def _change(self) -> None:
        changed = some(self.people, 1, of=10)
        with self.wire.phase("profiles pushed") as phase:
            for person in changed:
                person.title, person.given = "Head", f"{person.given}-New"
                self.push(person)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        first = self.teams[0]
        with self.wire.phase("members, name along; renamed") as phase:
            gone = sorted(first.members)[:3]
            self._members(first, "remove", gone)
            first.members -= set(gone)
            first.name = "Team Renamed"
            self._members(first, "add", gone[:1])
            first.members |= set(gone[:1])
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _suspend(self) -> None:
        """U8: SCIM says nothing of a suspension, and must not undo it by a push of the profile."""
        gone = some(self.people, 2, of=20)
        with self.wire.phase("suspended: hook only") as phase:
            self.tell("user.lifecycle.suspend", gone)
        self._are_in(gone, is_in=False)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        self._are_in(gone, is_in=True)
        with self.wire.phase("profiles of suspended pushed") as phase:
            for person in gone:
                person.title = "On leave"
                self.push(person)
        self._are_in(gone, is_in=False)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("unsuspended: hook only") as phase:
            self.tell("user.lifecycle.unsuspend", gone)
        self._are_in(gone, is_in=True)
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _are_in(self, people: Iterable[Person], *, is_in: bool) -> None:
        for person in people:
            person.is_in = is_in

    def _deactivate(self) -> None:
        gone = some(self.people, 3, of=20)
        self._are_in(gone, is_in=False)
        with self.wire.phase("deactivated: PATCH and PUT") as phase:
            for number, person in enumerate(gone):
                if number % 2:
                    self.push(person)
                else:
                    self.deactivate(person)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("deactivated: read and told again") as phase:
            for person in gone:
                if self.wire.read(f"/Users/{person.id}").get("active") is not False:
                    phase.faults.append("a deactivated person is shown as active")
                self.deactivate(person)
        compare(self.wire.rosterd, phase, self.people, self.teams)
        self._are_in(gone, is_in=True)
        with self.wire.phase("assigned again") as phase:
            self.assign(gone)
        compare(self.wire.rosterd, phase, self.people, self.teams)

    def _end(self) -> None:
        last = self.teams[-1]
        with self.wire.phase("push now: whole list, then none") as phase:
            last.members = {one.key for one in self.people[:4]}
            self._members(last, "replace", last.members)
            compare(self.wire.rosterd, phase, self.people, self.teams)
            last.members = set()
            self._members(last, "replace", ())
        compare(self.wire.rosterd, phase, self.people, self.teams)
        with self.wire.phase("group unlinked and deleted") as phase:
            self.wire.send("DELETE", f"/Groups/{last.id}")
            last.is_known = False
        compare(self.wire.rosterd, phase, self.people, self.teams)
