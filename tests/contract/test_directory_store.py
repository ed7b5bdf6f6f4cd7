"""`DirectoryStore`: what a batch saves is what the next one finds, whoever keeps it."""

from __future__ import annotations

from dataclasses import replace

from domain.keys import address_id, edge_id, group_id, user_id
from domain.model import (
    Edge,
    Group,
    Mark,
    Person,
    PersonState,
    Pinned,
    Role,
    User,
    UserFacts,
    Word,
)
from domain.ports import Writes
from domain.protection import protected_ids
from domain.values import Stamp
from tests.contract.conftest import Port

STAMP = Stamp(1_767_225_600_000_001, 1, "AbCd-_0123456789")
LATER = Stamp(STAMP.at + 1, 0, "zz")
FACTS = UserFacts(
    is_described=True,
    profile={"given_name": (STAMP, "Ána"), "title": (LATER, None)},
    emails=(Word(STAMP, "fed", "Ana@example.com"), Word(LATER, "fed", "ana@example.com")),
    actives=(Word(STAMP, "fed", False), Word(LATER, "other", True)),
    scopes=(Word(LATER, "g1", True),),
)


def person(port: Port, id_: str = "p1", **changes: object) -> Person:
    plain = Person(
        id=id_,
        account=port.account,
        email=f"{id_}@example.com",
        requested=f"{id_}.new@example.com",
        state=PersonState.SUSPENDED,
        pending=f"{id_}.new@example.com",
        connection=port.connection,
        user="u1",
        governed_by=port.connection,
        claim=STAMP,
        is_accepted=True,
        profile={"given_name": 'A "quoted" \\ Ána'},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def save(port: Port, writes: Writes) -> None:
    with port.work() as work:
        work.save(writes)
        work.commit()


def test_a_subject_and_its_person_come_back_as_they_went_in(port: Port) -> None:
    key = user_id(port.connection, "u1")
    pinned = Pinned("p1", STAMP, (Mark(STAMP, "a@example.com"), Mark(LATER, "b@example.com")))
    user = User(port.connection, "u1", FACTS, "p1", pinned)
    accounts = {port.connection: port.account}
    with port.work() as work:
        empty = User(port.connection, "u1")
        assert work.directory.lock_users({key: empty}, accounts) == {key: empty}
        work.save(Writes(users={key: user}, people={"p1": person(port)}))
        work.commit()
    with port.work() as work:
        assert work.directory.lock_users({key: User(port.connection, "u1")}, accounts) == {
            key: user
        }
        assert work.directory.people(["p1", "nobody"]) == {"p1": person(port)}


def test_groups_and_memberships_come_back_as_they_went_in(port: Port) -> None:
    key = group_id(port.connection, "g:1")
    group = Group(
        port.connection, "g:1", (STAMP, "Eng"), (LATER, True), STAMP, STAMP, is_kept=False
    )
    other = Group(port.connection, "g")
    edges = [
        Edge(port.connection, "g:1", "u1", STAMP, is_member=True),
        Edge(port.connection, "g:1", "u2", LATER, is_member=False),
        Edge(port.connection, "g", "1:u1", LATER, is_member=True),
    ]
    ids = {edge_id(e.connection, e.group, e.user): e for e in edges}
    accounts = {port.connection: port.account}
    wanted = {key: Group(port.connection, "g:1")}
    with port.work() as work:
        assert work.directory.lock_groups({}, wanted, accounts) == wanted
        work.save(Writes(groups={key: group}, edges=ids))
        work.commit()
    with port.work() as work:
        assert work.directory.lock_groups(wanted, {}, accounts) == {key: group}
        assert work.directory.edges([*ids, "none"]) == ids
        found = sorted(work.directory.edges_of(group), key=lambda edge: edge.user)
        assert found == edges[:2]
        assert work.directory.edges_of(other) == [edges[2]]


def test_what_is_not_committed_was_never_there(port: Port) -> None:
    address = address_id(port.account, "p1@example.com")
    writes = Writes(people={"p1": person(port)}, addresses={address: "p1"})
    with port.work() as work:
        work.directory.lock_addresses([address])
        work.save(writes)
    with port.work() as work:
        assert work.directory.people(["p1"]) == {}
        assert work.directory.lock_addresses([address]) == {address: None}


def test_an_address_is_free_then_taken_then_free_again(port: Port) -> None:
    address = address_id(port.account, "Ana@Example.com ")
    for before, holder in ((None, "p1"), ("p1", None), (None, "p2")):
        with port.work() as work:
            assert work.directory.lock_addresses([address]) == {address: before}
            work.save(Writes(addresses={address: holder}))
            work.commit()
    with port.work() as work:
        assert work.directory.lock_addresses([address]) == {address: "p2"}


def test_holders_are_of_what_is_held_and_asking_reserves_nothing(port: Port) -> None:
    held, free = (address_id(port.account, f"{name}@example.com") for name in ("ana", "eva"))
    with port.work() as work:
        work.directory.lock_addresses([held])
        work.save(Writes(addresses={held: "p1"}))
        work.commit()
    with port.work() as work:
        assert work.directory.holders([held, free]) == {held: "p1"}
        work.commit()
    with port.work() as work:
        work.directory.lock_addresses([free])
        assert work.directory.holders([held, free]) == {held: "p1"}, "reserved is not held"


def test_trying_gives_only_who_is_there(port: Port) -> None:
    key = user_id(port.connection, "u1")
    accounts = {port.connection: port.account}
    with port.work() as work:
        assert work.directory.try_users([key]) == {}
        work.directory.lock_users({key: User(port.connection, "u1")}, accounts)
        work.save(Writes(users={key: User(port.connection, "u1", FACTS)}))
        work.commit()
    with port.work() as work:
        found = work.directory.try_users([key, user_id(port.connection, "u2")])
        assert {k: u.facts for k, u in found.items()} == {key: FACTS}


def owner(port: Port, id_: str, state: PersonState = PersonState.ACTIVE) -> Person:
    return person(port, id_, role=Role.OWNER, state=state, connection=None, user=None)


def test_u6_the_only_owner_who_is_in_and_break_glass_are_protected(port: Port) -> None:
    glass = person(port, "p2", state=PersonState.ACTIVE, is_break_glass=True)
    out = owner(port, "p5", PersonState.SUSPENDED)
    plain = person(port, "p3", state=PersonState.ACTIVE)
    save(port, Writes(people={"p1": owner(port, "p1"), "p2": glass, "p3": plain, "p5": out}))
    with port.work() as work:
        assert protected_ids(work.directory.keepers([port.account])) == {"p1", "p2"}
        work.save(Writes(people={"p4": owner(port, "p4")}))
        work.commit()
    with port.work() as work:
        assert protected_ids(work.directory.keepers([port.account])) == {"p2"}
