"""After an applied run the directory is the IdP's, whatever it told, dropped, and told late."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.changes import (
    AddMember,
    Change,
    ChangeEmail,
    DeleteGroup,
    ProvisionUser,
    PutGroup,
    ReactivateUser,
    RemoveMember,
    SuspendUser,
)
from domain.directories import ReadGroup, ReadPerson
from domain.groups import is_current
from domain.model import Group
from domain.ordering import LISTING, READ, is_said_out
from domain.reconciling import (
    NOBODY,
    Difference,
    KnownPerson,
    Thing,
    What,
    compare_absent_group,
    compare_absent_member,
    compare_absent_person,
    compare_group,
    compare_member,
    compare_person,
)
from tests.builders import drain, policy
from tests.exploring import patient
from tests.fakes.memory import START, Memory
from worker.adapters.db.saying import word_of
from worker.adapters.sources.reconciliation import ReconciliationSource

USERS, GROUPS, NAMES = ("u1", "u2", "u3"), ("g1", "g2"), ("Ana", "Eva")
ACTS = ("hire", "move", "name", "leave", "return", "erase", "group", "ungroup", "join", "part")


@dataclass
class Provider:
    """Who there is at the IdP; each act is an event, which may never arrive."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    members: set[tuple[str, str]] = field(default_factory=set)
    log: list[tuple[str, datetime, Change]] = field(default_factory=list)
    seconds: int = 0

    def now(self) -> datetime:
        self.seconds += 1
        return START + timedelta(days=1, seconds=self.seconds)

    def act(self, what: str, user: str, group: str, other: int) -> None:
        told = getattr(self, f"_{what}")(user, group, other)
        if told is not None:
            self.log.append((f"e{len(self.log)}", self.now(), told))

    def _hire(self, user: str, _group: str, other: int) -> Change | None:
        if user in self.people:
            return None
        email = f"{user}@example.com"
        self.people[user] = {"email": email, "name": NAMES[other], "in": True}
        return ProvisionUser(user, email, {"given_name": NAMES[other]}, active=True)

    def _move(self, user: str, _group: str, other: int) -> Change | None:
        if user not in self.people:
            return None
        email = f"{user}.{other}@example.com"
        self.people[user]["email"] = email
        return ChangeEmail(user, email)

    def _name(self, user: str, _group: str, other: int) -> Change | None:
        if user not in self.people:
            return None
        self.people[user]["name"] = NAMES[other]
        return ProvisionUser(user, self.people[user]["email"], {"given_name": NAMES[other]})

    def _leave(self, user: str, _group: str, _other: int) -> Change | None:
        if user not in self.people:
            return None
        self.people[user]["in"] = False
        return SuspendUser(user)

    def _return(self, user: str, _group: str, _other: int) -> Change | None:
        if user not in self.people:
            return None
        self.people[user]["in"] = True
        return ReactivateUser(user)

    def _erase(self, user: str, _group: str, _other: int) -> Change | None:
        if self.people.pop(user, None) is None:
            return None
        self.members = {edge for edge in self.members if edge[1] != user}
        return SuspendUser(user)

    def _group(self, _user: str, group: str, other: int) -> Change | None:
        self.groups[group] = f"{group} {NAMES[other]}"
        return PutGroup(group, self.groups[group])

    def _ungroup(self, _user: str, group: str, _other: int) -> Change | None:
        if self.groups.pop(group, None) is None:
            return None
        self.members = {edge for edge in self.members if edge[0] != group}
        return DeleteGroup(group)

    def _join(self, user: str, group: str, _other: int) -> Change | None:
        if user not in self.people or group not in self.groups:
            return None
        self.members.add((group, user))
        return AddMember(group, user)

    def _part(self, user: str, group: str, _other: int) -> Change | None:
        if (group, user) not in self.members:
            return None
        self.members.discard((group, user))
        return RemoveMember(group, user)


@dataclass
class Snapshot:
    """What a run read, and when."""

    at: datetime
    people: list[ReadPerson]
    groups: list[ReadGroup]
    members: set[tuple[str, str]]

    @classmethod
    def of(cls, idp: Provider) -> Snapshot:
        people = [
            ReadPerson(key, one["email"], {"given_name": one["name"]}, one["in"])
            for key, one in idp.people.items()
        ]
        groups = [ReadGroup(key, name) for key, name in idp.groups.items()]
        return cls(idp.now(), people, groups, set(idp.members))


def _found(read: Snapshot, memory: Memory) -> list[Difference]:
    """As the pages of a run compare it."""
    state, rule = memory.state, memory.policies["con"]
    known = {u.key: u for u in state.users.values()}
    groups = {g.key: g for g in state.groups.values()}
    found: list[Difference | None] = [
        compare_person(one, read.at, _known(memory, one.key), policy=rule, is_in_scope=True)
        for one in read.people
    ]
    named = {one.key for one in read.people}
    found += [
        compare_absent_person(key, read.at, _known(memory, key)) for key in known.keys() - named
    ]
    found += [compare_group(g, read.at, groups.get(g.key), policy=rule) for g in read.groups]
    listed = {one.key for one in read.groups}
    found += [compare_absent_group(g, read.at) for key, g in groups.items() if key not in listed]
    edges = {(e.group, e.user): e for e in state.edges.values()}
    for group, user in read.members:
        ours = groups.get(group, Group("con", group))
        found.append(compare_member(user, read.at, edges.get((group, user)), ours))
    for (group, user), edge in edges.items():
        if (group, user) not in read.members and group in groups and group in listed:
            found.append(compare_absent_member(edge, groups[group], read.at))
    return [one for one in found if one is not None and one.what is not What.WAITING]


def _known(memory: Memory, key: str) -> KnownPerson:
    user = memory.state.users.get(f"con:{key}")
    if user is None:
        return NOBODY
    person = memory.state.people.get(user.person or "")
    is_governed = person is not None and person.connection == "con" and person.user == key
    return KnownPerson(user.facts, is_governed, person is not None and person.is_suspended)


def _apply(memory: Memory, found: list[Difference], run: str) -> None:
    """By the events that a run says, as their source reads them."""
    source = ReconciliationSource()
    for number, one in enumerate(found):
        word = word_of(one.thing, one.what, one.key, one.group, one.told)
        event = {"type": word.type, "id": word.subject, **word.more}
        changes = source.parse({"events": [event]}, 0).changes
        memory.add(f"{run}:{number}", *changes, at=one.at, feed="own")


def _ours(memory: Memory) -> dict[str, Any]:
    state = memory.state
    people = {
        u.key: (str(u.facts.emails[-1].value), u.facts.profile["given_name"][1])
        for u in state.users.values()
        if u.facts.is_described and not is_said_out(u.facts)
    }
    groups = {g.key: g.name[1] for g in state.groups.values() if g.is_seen}
    members = {
        (e.group, e.user)
        for e in state.edges.values()
        if e.group in groups and is_current(e, state.groups[f"con:{e.group}"])
    }
    return {"people": people, "groups": groups, "members": members}


def _theirs(idp: Provider) -> dict[str, Any]:
    people = {k: (one["email"], one["name"]) for k, one in idp.people.items() if one["in"]}
    return {"people": people, "groups": dict(idp.groups), "members": set(idp.members)}


@patient(300)
@given(data=st.data())
def test_g4_d18_after_an_applied_run_the_directory_is_the_idps(data: st.DataObject) -> None:
    """Events are dropped, late and doubled; runs read, compare and apply at other moments."""
    idp, memory = Provider(), Memory(policy())
    under_way: list[tuple[str, Snapshot]] = []
    late: list[tuple[str, datetime, Change]] = []
    sent = 0
    moves = st.tuples(
        st.sampled_from((*ACTS, "deliver", "drop", "read", "apply", "drain")),
        st.sampled_from(USERS),
        st.sampled_from(GROUPS),
        st.integers(0, 1),
    )
    for what, user, group, other in data.draw(st.lists(moves, min_size=3, max_size=40)):
        late += idp.log[sent:]
        sent = len(idp.log)
        if what in ACTS:
            idp.act(what, user, group, other)
        elif what in ("deliver", "drop") and late:
            name, at, change = late.pop(other * (len(late) - 1))
            if what == "deliver":
                memory.add(name, change, at=at)
                late += [(name, at, change)] if other else []
        elif what == "read":
            under_way.append((f"run{idp.seconds}", Snapshot.of(idp)))
        elif what == "apply" and under_way:
            run, read = under_way.pop(0)
            _apply(memory, _found(read, memory), run)
        elif what == "drain":
            drain(memory)
    for name, at, change in late:
        memory.add(name, change, at=at)
    drain(memory)
    _apply(memory, _found(Snapshot.of(idp), memory), "last")
    drain(memory)
    assert _ours(memory) == _theirs(idp)
    assert _found(Snapshot.of(idp), memory) == [], "twice is once"


def test_u8_what_a_read_said_is_outranked_by_what_the_idp_said_since() -> None:
    assert READ != LISTING
    memory = Memory(policy())
    at = START + timedelta(days=1)
    memory.add("e1", ProvisionUser("u1", "u1@example.com", {}, active=False), at=at, feed="a")
    told = {"email": "u1@example.com", "attributes": {}, "active": True, "kind": "member"}
    read = Difference(Thing.USER, What.DIFFERING, "u1", at + timedelta(seconds=2), told=told)
    _apply(memory, [read], "run")
    memory.add("e2", SuspendUser("u1"), at=at + timedelta(seconds=1), feed="b")
    drain(memory)
    assert not is_said_out(memory.state.users["con:u1"].facts), "older than the read, told late"
    memory.add("e3", SuspendUser("u1"), at=at + timedelta(seconds=3), feed="b")
    drain(memory)
    assert is_said_out(memory.state.users["con:u1"].facts)
