"""What SCIM and the hooks of one connection said, and what has to be true of rosterd then."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from domain.errors import RefusedError
from tests.harness import Feed, Rosterd
from tests.scim import STATE, Provider, speaking
from worker.adapters.db import rows

KEYS = ("u0", "u1", "u2")
GROUP_KEY = "g0"
SCIM, HOOK, OTHER = "scim", "hook", "other"
_IN = {"active", "invited"}


@dataclass
class Said:
    """The newest word: at which moment, and what. A late old one does not count."""

    at: float = -1.0
    value: Any = None

    def hear(self, at: float, value: Any) -> None:
        """At equal times the word that comes first stays, but for the one that takes away."""
        if at > self.at or (at == self.at and value is False):
            self.at, self.value = at, value


@dataclass
class Model:
    """U8: each feed's last word on `active`, and who is a member by the newest word of any."""

    active: dict[str, dict[str, Said]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Said))
    )
    members: dict[str, Said] = field(default_factory=lambda: defaultdict(Said))

    def is_out(self, key: str) -> bool:
        return any(said.value is False for said in self.active[key].values())


class Sut:
    """An account of its own with a connection that has SCIM and two hooks."""

    def __init__(self, rosterd: Rosterd, number: int) -> None:
        self.rosterd = rosterd
        feed = rosterd.account(name=f"machine{number}", source="scim", scim_state="always")
        self.idp: Provider = speaking(rosterd, feed)
        self.hooks: dict[str, Feed] = {HOOK: rosterd.feed(feed), OTHER: rosterd.feed(feed)}
        self.model = Model()
        self.seen: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, str] = {}
        self.gone: set[str] = set()
        self.told: set[str] = set()
        self.group = ""
        self._told = 0

    # -- speaking ----------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A write; whatever is refused leaves everything as it was."""
        before = self.shown()
        told = self.idp.ask(method, path, body)
        assert told.status_code < 500, told.text
        if told.status_code >= 400:
            assert self.shown() == before, told.text
        return told

    def hook(
        self, name: str, type_: str, data: dict[str, Any], *, late: bool, twice: bool
    ) -> float:
        """An event of now, or of an hour ago; its moment, in seconds of our clock."""
        self._told += 1
        self.told |= {data["id"]} if type_.startswith("user.") else set()
        now = datetime.now(UTC)
        first = self.rosterd.at(0)
        at = self._told / 1_000 if late else (now - first).total_seconds()
        sent = self.rosterd.request(self.hooks[name], type_, data, at=at)
        for _ in range(1 + twice):
            assert self.rosterd.post(sent) == 200
        return at

    def now(self) -> float:
        """The moment of a SCIM write: it is newer than all that it touches (D2)."""
        return (datetime.now(UTC) - self.rosterd.at(0)).total_seconds()

    def accept(self, key: str) -> None:
        """The member says yes to whatever is open."""
        mine = rows.people.c.user_key == key, rows.people.c.account_id == self.rosterd.account_id
        for person in self.rosterd.table(rows.people, *mine):
            try:
                self.rosterd.parts.members.vouch(person["id"], actor="test", reason="machine")
            except RefusedError:
                continue

    # -- looking -----------------------------------------------------------------------

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        found = self.idp.told("GET", f"/{kind}")
        assert found["totalResults"] == len(found["Resources"])
        return {one["id"]: one for one in found["Resources"]}

    def shown(self) -> dict[str, dict[str, Any]]:
        """Every resource by its own address, each checked against what was seen before."""
        self.rosterd.drain()
        whole: dict[str, dict[str, Any]] = {}
        for kind in ("Users", "Groups"):
            for id_, listed in self.resources(kind).items():
                told = self.idp.ask("GET", f"/{kind}/{id_}")
                assert told.status_code == 200
                body = told.json()
                assert told.headers["etag"] == body["meta"]["version"]
                assert {**listed, "meta": None} == {**body, "meta": None}
                whole[id_] = body
        self._insist_versioned(whole)
        return whole

    def _insist_versioned(self, whole: dict[str, dict[str, Any]]) -> None:
        """The same version is the same content, ever."""
        for body in whole.values():
            version = f"{body['id']} {body['meta']['version']}"
            assert self.seen.setdefault(version, body) == body, version

    def check(self) -> None:
        """Everything that has to be true whenever nothing is on its way."""
        shown = self.shown()
        users = [one for one in shown.values() if "userName" in one]
        assert len({one["userName"].lower() for one in users}) == len(users)
        self._insist_truth(users)
        self._insist_members(shown, users)
        for id_ in self.gone:
            self.idp.get(id_, status=404)
        states = {event["state"] for event in self._events()}
        assert states <= {"ended", "dead", "waiting"}, states

    def _events(self) -> list[dict[str, Any]]:
        return self.rosterd.events(rows.events.c.account_id == self.rosterd.account_id)

    def _insist_truth(self, users: list[dict[str, Any]]) -> None:
        """Resource and directory agree, and both with the words that were said (U8)."""
        managed = [one for one in self.rosterd.users() if one["managed"]]
        lines = {one["external_id"]: one for one in managed}
        assert set(lines) <= set(KEYS)
        for key, line in lines.items():
            assert (line["state"] in _IN) is not self.model.is_out(key), (key, line)
        for one in users:
            found = lines[one["externalId"]]
            assert one["active"] is (found["state"] in _IN)
            assert one[STATE]["state"] == found["state"]
            assert one[STATE]["emailInForce"] == found["email"]

    def _insist_members(
        self, shown: dict[str, dict[str, Any]], users: list[dict[str, Any]]
    ) -> None:
        if not self.group:
            return
        ids = {one["externalId"]: one["id"] for one in users}
        told = {one["value"] for one in shown[self.group].get("members", ())}
        for key in KEYS:
            is_member = bool(self.model.members[key].value)
            names = {ids[key]} if key in ids else {key}
            # Who was told of and is no resource is not shown: deleted, or nobody yet.
            if key in ids or key not in self.told:
                assert bool(names & told) is is_member, (key, told)
        for one in users:
            inside = {group["value"] for group in one.get("groups", ())}
            assert (self.group in inside) is (one["id"] in told)
