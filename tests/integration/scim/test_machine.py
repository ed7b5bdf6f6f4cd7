"""SCIM and two hooks of one connection, in any order and some of it twice, against a model.

The long form, drawn afresh: ROSTERD_TEST_EXPLORE=20, and this file's name.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.exploring import EXPLORE
from tests.harness import Rosterd
from tests.integration.scim.machine import GROUP_KEY, HOOK, KEYS, OTHER, SCIM, Sut
from tests.scim import GROUP, PATCH, USER

_NUMBERS = count(1)
keys = st.sampled_from(KEYS)
hooks = st.sampled_from([HOOK, OTHER])
#: One's own, another of one's own, one that everybody may want.
addresses = st.sampled_from(["{}@example.com", "{}.x@example.com", "desk@example.com"])
words = st.sampled_from(["Cook", "Chef", ""])
#: How providers write a boolean.
FORMS = {True: (True, "True"), False: (False, "False")}


class Machine(RuleBasedStateMachine):
    """Rules are what a provider may do; what it is answered is checked against what is so."""

    rosterd: Rosterd

    @initialize()
    def begin(self) -> None:
        self.sut = Sut(self.rosterd, next(_NUMBERS))

    # -- people by SCIM ----------------------------------------------------------------

    @rule(key=keys, active=st.sampled_from([None, True, False]), twice=st.booleans())
    def post(self, key: str, active: bool | None, twice: bool) -> None:
        if key in self.sut.ids:
            # RFC 7643, 3.1 lets two have one externalId; the machine keeps to one.
            return
        name = f"{key}@example.com"
        body: dict[str, Any] = {"schemas": [USER], "userName": name, "externalId": key}
        body |= {} if active is None else {"active": active}
        told = self.sut.ask("POST", "/Users", body)
        if told.status_code == 201:
            self._heard(key, active is not False)
            self.sut.ids[key] = told.json()["id"]
            self.sut.told.add(key)
            self._insist(told, userName=name, externalId=key)
            if twice:
                assert self.sut.ask("POST", "/Users", body).status_code == 409
        else:
            assert told.status_code == 409, told.text
            self._insist_claimed(name)

    @precondition(lambda self: self.sut.ids)
    @rule(data=st.data(), active=st.sampled_from([None, True, False]), title=words)
    def put(self, data: st.DataObject, active: bool | None, title: str) -> None:
        key, now = self._somebody(data)
        body = {"schemas": [USER], "userName": now["userName"], "title": title}
        body |= {} if active is None else {"active": active}
        told = self.sut.ask("PUT", f"/Users/{now['id']}", body)
        assert told.status_code == 200, told.text
        if active is not None:
            self._heard(key, active)
        self._insist(told, title=title or None, externalId=now["externalId"])

    @precondition(lambda self: self.sut.ids)
    @rule(data=st.data(), active=st.booleans(), form=st.integers(0, 1), bare=st.booleans())
    def patch_active(self, data: st.DataObject, active: bool, form: int, bare: bool) -> None:
        key, now = self._somebody(data)
        value = FORMS[active][form]
        part: dict[str, Any] = {"op": "Replace", "path": "active", "value": value}
        if bare:
            part = {"op": "replace", "value": {"active": value}}
        for _ in range(1 + form):
            told = self.sut.ask("PATCH", f"/Users/{now['id']}", self._patch(part))
            assert told.status_code == 200, told.text
            self._heard(key, active)
            assert told.json()["active"] is not self.sut.model.is_out(key)

    @precondition(lambda self: self.sut.ids)
    @rule(data=st.data(), name=addresses, title=words)
    def rename(self, data: st.DataObject, name: str, title: str) -> None:
        key, now = self._somebody(data)
        name = name.format(key)
        parts = [
            {"op": "replace", "path": "title", "value": title},
            {"op": "replace", "path": "userName", "value": name},
        ]
        told = self.sut.ask("PATCH", f"/Users/{now['id']}", self._patch(*parts))
        if told.status_code == 200:
            self._insist(told, userName=name, title=title or None)
        else:
            assert told.status_code == 409, told.text
            self._insist_claimed(name, but=now["id"])

    @precondition(lambda self: self.sut.ids)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key, now = self._somebody(data)
        self._delete(now["id"])
        self._heard(key, False)
        self.sut.gone.add(self.sut.ids.pop(key))

    # -- the group by SCIM -------------------------------------------------------------

    @precondition(lambda self: not self.sut.group)
    @rule(some=st.sets(keys))
    def make_group(self, some: set[str]) -> None:
        members = [{"value": self._named(key)} for key in some]
        body = {"schemas": [GROUP], "displayName": "Crew", "externalId": GROUP_KEY}
        told = self.sut.ask("POST", "/Groups", {**body, "members": members})
        assert told.status_code == 201, told.text
        self.sut.group = told.json()["id"]
        self._heard_members({key: key in some for key in KEYS})

    @precondition(lambda self: self.sut.group)
    @rule(key=keys, is_in=st.booleans(), twice=st.booleans())
    def patch_member(self, key: str, is_in: bool, twice: bool) -> None:
        name = self._named(key)
        part: dict[str, Any] = {"op": "remove", "path": f'members[value eq "{name}"]'}
        if is_in:
            part = {"op": "add", "path": "members", "value": [{"value": name}]}
        for _ in range(1 + twice):
            told = self.sut.ask("PATCH", f"/Groups/{self.sut.group}", self._patch(part))
            assert told.status_code == 200, told.text
            self._heard_members({key: is_in})

    @precondition(lambda self: self.sut.group)
    @rule(some=st.sets(keys), name=st.sampled_from(["Crew", "Team"]), is_put=st.booleans())
    def replace_members(self, some: set[str], name: str, is_put: bool) -> None:
        members = [{"value": self._named(key)} for key in some]
        path, body = f"/Groups/{self.sut.group}", {"displayName": name, "members": members}
        if is_put:
            told = self.sut.ask("PUT", path, {"schemas": [GROUP], **body})
        else:
            parts = [{"op": "replace", "path": one, "value": body[one]} for one in body]
            told = self.sut.ask("PATCH", path, self._patch(*parts))
        assert told.status_code == 200, told.text
        assert told.json()["displayName"] == name
        self._heard_members({key: key in some for key in KEYS})

    # -- hooks -------------------------------------------------------------------------

    @rule(key=keys, name=hooks, late=st.booleans(), twice=st.booleans())
    def hook_upserts(self, key: str, name: str, late: bool, twice: bool) -> None:
        data = {"id": key, "email": f"{key}@example.com"}
        self.sut.hook(name, "user.upserted", data, late=late, twice=twice)

    @rule(key=keys, name=hooks, is_in=st.booleans(), late=st.booleans(), twice=st.booleans())
    def hook_says(self, key: str, name: str, is_in: bool, late: bool, twice: bool) -> None:
        type_ = "user.reactivated" if is_in else "user.suspended"
        at = self.sut.hook(name, type_, {"id": key}, late=late, twice=twice)
        self.sut.model.active[key][name].hear(at, is_in)

    @precondition(lambda self: self.sut.group)
    @rule(key=keys, name=hooks, is_in=st.booleans(), late=st.booleans(), twice=st.booleans())
    def hook_moves(self, key: str, name: str, is_in: bool, late: bool, twice: bool) -> None:
        type_ = "group.member_added" if is_in else "group.member_removed"
        data = {"group_id": GROUP_KEY, "user_id": key}
        at = self.sut.hook(name, type_, data, late=late, twice=twice)
        self.sut.model.members[key].hear(at, is_in)

    # -- others ------------------------------------------------------------------------

    @rule(key=keys)
    def accept(self, key: str) -> None:
        self.rosterd.drain()
        self.sut.accept(key)

    @invariant()
    def holds(self) -> None:
        self.sut.check()

    # -- words -------------------------------------------------------------------------

    @staticmethod
    def _patch(*parts: dict[str, Any]) -> dict[str, Any]:
        return {"schemas": [PATCH], "Operations": list(parts)}

    def _somebody(self, data: st.DataObject) -> tuple[str, dict[str, Any]]:
        key = data.draw(st.sampled_from(sorted(self.sut.ids)))
        return key, self.sut.idp.get(self.sut.ids[key])

    def _named(self, key: str) -> str:
        """How a provider names a member: by its resource, or by its own id if it knows of none."""
        return self.sut.ids.get(key, key)

    def _heard(self, key: str, active: bool) -> None:
        self.sut.model.active[key][SCIM].hear(self.sut.now(), active)

    def _heard_members(self, some: dict[str, bool]) -> None:
        for key, is_in in some.items():
            self.sut.model.members[key].hear(self.sut.now(), is_in)

    def _delete(self, id_: str) -> None:
        assert self.sut.ask("DELETE", f"/Users/{id_}").status_code == 204

    def _insist(self, told: Any, **values: Any) -> None:
        """What was answered is what is so."""
        body = told.json()
        assert {name: body.get(name) for name in values} == values
        assert self.sut.idp.get(body["id"]) == body

    def _insist_claimed(self, name: str, but: str = "") -> None:
        """409 has a reason: somebody is called so, or has or is to have that address."""
        others = [one for one in self.sut.resources("Users").values() if one["id"] != but]
        claimed = {one["userName"] for one in others}
        for line in self.rosterd.users():
            claimed |= {line["email"], line.get("pending_email")}
        assert name in claimed


def test_u8_e8_g1_whatever_is_said_by_whomever(rosterd: Rosterd) -> None:
    Machine.rosterd = rosterd
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=8 * max(1, EXPLORE),
            stateful_step_count=20,
            derandomize=not EXPLORE,
            # Each step is a few requests: making a failure small takes longer than reading it.
            phases=[Phase.explicit, Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
