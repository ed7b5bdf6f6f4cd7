"""What an IdP's directory and ours differ in: pure comparisons, one person, group, membership each.

It is what the IdP said that is compared with what it says now (facts), not the people whom rules
made of that: an address that waits for the member's yes is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.addressing import readdressed
from domain.changes import ProvisionUser
from domain.directories import ReadGroup, ReadPerson
from domain.erasure import newest
from domain.groups import is_current
from domain.model import Edge, Group, UserFacts
from domain.ordering import GUEST, is_said_out
from domain.policy import Policy
from domain.ports import UnparseableError
from domain.values import BEGINNING, Stamp, normalise_address, to_micros


class Thing(StrEnum):
    """What a difference is about."""

    USER = "user"
    GROUP = "group"
    MEMBERSHIP = "membership"


class What(StrEnum):
    """missing: the IdP has it, we do not. extra: the other way round. waiting: left to another run.

    Extra people are those whom we have as in, and governed by this connection.
    """

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERING = "differing"
    WAITING = "waiting"


class Wait(StrEnum):
    """Why a difference is left to another run."""

    NEWER = "newer"
    UNENDED = "unended"
    DEAD = "dead"
    NO_ADDRESS = "no_address"
    DELETED = "deleted"
    FOUND_AFTER_ALL = "found_after_all"
    UNASKABLE = "unaskable"
    UNPROVEN = "unproven"
    SCIM = "scim"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. key: external id; of a membership, of the person.

    fields: in what they differ: `address`, `attributes`, `active`, `kind`, `name`. told: what the
    IdP says, as the event that mends it will say it. at: when that was true.
    """

    thing: Thing
    what: What
    key: str
    at: datetime
    group: str = ""
    fields: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    def waiting(self, why: Wait) -> Difference:
        """The same, left to another run."""
        return replace(self, what=What.WAITING, why=why.value)


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A subject as we know it. is_governed: it has a person, whom its connection governs."""

    facts: UserFacts = field(default_factory=UserFacts)
    is_governed: bool = False
    is_suspended: bool = False
    is_deleted: bool = False


NOBODY = KnownPerson()


def compare_person(
    read: ReadPerson, at: datetime, known: KnownPerson, *, policy: Policy, is_in_scope: bool
) -> Difference | None:
    """A person whom the IdP has. at: when it said so.

    is_in_scope: whether what was read lets them in (S1). Nobody is missing who is out, a guest, or
    out of scope: they would not be let in.
    """
    told = {
        "email": read.email,
        "attributes": dict(read.attributes),
        "active": read.is_active,
        "kind": read.kind,
    }
    email, profile = _described(read, policy.address)
    if not known.facts.is_described:
        if not read.is_active or read.kind == GUEST or not is_in_scope:
            return None
        missing = Difference(Thing.USER, What.MISSING, read.key, at, told=told)
        return _checked_missing(missing, known, has_address=bool(email))
    if not (known.is_governed or is_in_scope):
        return None
    differ = {
        "address": _is_other(email, known.facts),
        "attributes": _says_more(profile, known.facts),
        "active": read.is_active is is_said_out(known.facts),
        "kind": (read.kind == GUEST) is not _is_guest(known.facts),
    }
    fields = tuple(name for name, does in differ.items() if does)
    if not fields:
        return None
    found = Difference(Thing.USER, What.DIFFERING, read.key, at, fields=fields, told=told)
    if policy.mirrors and read.is_active and "active" in fields:
        # A write of SCIM that says what SCIM said last is no news (D2): were somebody let in past
        # its word, its next "inactive" would go unheard.
        return found.waiting(Wait.SCIM)
    return found.waiting(Wait.NEWER) if _is_newer(newest(known.facts), at) else found


def _checked_missing(missing: Difference, known: KnownPerson, *, has_address: bool) -> Difference:
    if known.is_deleted:
        # An operator deleted them for good; only a create of the IdP's makes a new person (U5).
        return missing.waiting(Wait.DELETED)
    if not has_address:
        return missing.waiting(Wait.NO_ADDRESS)
    is_newer = _is_newer(newest(known.facts), missing.at)
    return missing.waiting(Wait.NEWER) if is_newer else missing


def _described(read: ReadPerson, rule: str) -> tuple[str, Mapping[str, str | None]]:
    """The address that the connection's rule finds in what was read ("": none), the attributes."""
    described = ProvisionUser(read.key, read.email, read.attributes)
    try:
        (change,) = readdressed((described,), rule)
    except UnparseableError:
        return "", read.attributes
    assert isinstance(change, ProvisionUser)
    return change.email, change.profile


def _is_other(email: str, facts: UserFacts) -> bool:
    known = str(facts.emails[-1].value) if facts.emails else ""
    return bool(email) and normalise_address(email) != normalise_address(known)


def _says_more(profile: Mapping[str, str | None], facts: UserFacts) -> bool:
    """An attribute that was not read is untouched (D15)."""
    known = {name: value for name, (_, value) in facts.profile.items()}
    return any(known.get(name) != value for name, value in profile.items())


def _is_guest(facts: UserFacts) -> bool:
    words = [word for word in facts.scopes if word.by == GUEST]
    return bool(words) and bool(words[-1].value)


def compare_absent_person(key: str, began: datetime, known: KnownPerson) -> Difference | None:
    """A subject of ours that the IdP did not name. began: when the list was begun to be read."""
    if not known.is_governed or known.is_suspended or not known.facts.is_described:
        return None
    extra = Difference(Thing.USER, What.EXTRA, key, began)
    return extra.waiting(Wait.NEWER) if _is_newer(newest(known.facts), began) else extra


def compare_group(
    read: ReadGroup, at: datetime, known: Group | None, *, policy: Policy
) -> Difference | None:
    """A group that the IdP has. What no provider may manage (G3) is nobody's difference."""
    if not policy.keeps_group(read.key, read.name) or (known is not None and known.barred):
        return None
    told = {"name": read.name}
    if known is None or not known.exists[1]:
        found = Difference(Thing.GROUP, What.MISSING, read.key, at, told=told)
    elif known.name[1] != read.name:
        found = Difference(Thing.GROUP, What.DIFFERING, read.key, at, fields=("name",), told=told)
    else:
        return None
    said = BEGINNING if known is None else max(known.name[0], known.exists[0])
    return found.waiting(Wait.NEWER) if _is_newer(said, at) else found


def compare_absent_group(
    known: Group, began: datetime, *, provisions: bool = False
) -> Difference | None:
    """A group of ours that the IdP did not name. provisions: it says who is in scope (S1)."""
    if not known.is_seen and not (provisions and known.barred is None and not known.is_deleted):
        return None
    extra = Difference(Thing.GROUP, What.EXTRA, known.key, began)
    said = max(known.name[0], known.exists[0], known.floor)
    return extra.waiting(Wait.NEWER) if _is_newer(said, began) else extra


def compare_member(user: str, at: datetime, edge: Edge | None, group: Group) -> Difference | None:
    """A membership that the IdP has. group: as we know it."""
    if is_current(edge, group) or group.barred:
        return None
    missing = Difference(Thing.MEMBERSHIP, What.MISSING, user, at, group=group.key)
    said = max(group.floor, group.cleared, edge.stamp if edge is not None else BEGINNING)
    return missing.waiting(Wait.NEWER) if _is_newer(said, at) else missing


def compare_absent_member(
    edge: Edge, group: Group, began: datetime, *, provisions: bool = False
) -> Difference | None:
    """A membership of ours that the IdP did not name. began: when its group was first asked for.

    provisions: the group says who is in scope (S1): who left it is out, whether or not it is kept.
    """
    counts = group.is_seen or (provisions and group.barred is None)
    if not counts or not is_current(edge, group):
        return None
    extra = Difference(Thing.MEMBERSHIP, What.EXTRA, edge.user, began, group=group.key)
    return extra.waiting(Wait.NEWER) if _is_newer(edge.stamp, began) else extra


def _is_newer(stamp: Stamp, at: datetime) -> bool:
    return stamp.at >= to_micros(at)
