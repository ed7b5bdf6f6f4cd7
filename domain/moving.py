"""Taking people and groups over from another connection, without inviting anybody (C1).

A move is a decision (D1). What the former connection said is turned into the words that a subject
begins with, older than anything that its new connection says, so that this one's first word counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from domain.erasure import newest
from domain.model import Edge, Group, Mark, Person, PersonState, Pinned, Role, User, UserFacts, Word
from domain.ordering import INHERITED, claim_of, standing
from domain.overriding import as_told, outranked
from domain.policy import Policy
from domain.values import Stamp


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of a file of links: who or what is to be known by which external id.

    kind: user or group. person, group: ids; email: the address in force, where no id is given.
    """

    line: int
    external_id: str
    kind: str = "user"
    person: str | None = None
    email: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one line. problem "": it is linked; says is for the operator."""

    wanted: Wanted
    problem: str = ""
    says: str = ""
    subject: str = ""

    @property
    def is_conflict(self) -> bool:
        """Whether somebody has to decide. Who is not there yet is invited at first contact."""
        return self.problem not in ("", UNCHANGED, NOBODY)


UNCHANGED, NOBODY = "unchanged", "nobody"


def _after(stamp: Stamp, micros: int, rank: int = 0) -> Stamp:
    return Stamp(stamp.at + micros, rank, INHERITED)


def taken_over(user: User, person: Person, policy: Policy) -> tuple[User, Person]:
    """The subject with the person as they are: state, address, profile and what is pending.

    Nothing is settled anew: whatever the new connection's scope, nobody is let in or out by a move.
    """
    told = as_told(person)
    facts = inherited(told, before=user.facts)
    first = facts.emails[0].stamp
    pinned = None
    if told.is_accepted:
        pinned = Pinned(person.id, first, (Mark(first, told.email),))
    moved = replace(
        told,
        connection=user.connection,
        user=user.key,
        governed_by=user.connection,
        claim=claim_of(facts, standing(facts, policy.scope)),
    )
    return replace(user, facts=facts, person=person.id, pinned=pinned), outranked(moved)


def inherited(told: Person, *, before: UserFacts) -> UserFacts:
    """The words with which a subject begins, newer than those before and older than all to come.

    Where somebody of this external id was deleted for good, what is older counts no more than it
    did (U5): the floor stays.
    """
    since = newest(before)
    first, second, third = (_after(since, micros) for micros in (1, 2, 3))
    emails = [Word(first, INHERITED, told.email)]
    if told.requested != told.email:
        emails.append(Word(second, INHERITED, told.requested))
    actives = [Word(first, INHERITED, True)]
    if told.is_suspended:
        actives.append(Word(third.destructive(), INHERITED, False))
    return UserFacts(
        is_described=True,
        profile={name: (first, value) for name, value in told.profile.items()},
        emails=tuple(emails),
        actives=tuple(actives),
        scopes=(Word(first, INHERITED, True),),
        floor=before.floor,
    )


def why_not(
    person: Person | None,
    user: User,
    *,
    taken_from: Collection[str] | None,
    protected: Collection[str],
) -> tuple[str, str]:
    """Why a person cannot become this subject's: problem and sentence, both empty if they can.

    taken_from: connections whose people may be taken, besides who is nobody's; None for any.
    """
    if person is None or person.state is PersonState.WITHDRAWN:
        return NOBODY, "nobody of the account: first contact invites them"
    if (person.connection, person.user) == (user.connection, user.key):
        return UNCHANGED, "linked already"
    if person.connection == user.connection:
        return "linked_as", f"person {person.id} is linked as {person.user!r} there"
    if person.connection is not None and taken_from is not None:
        if person.connection not in taken_from:
            owner = f"person {person.id} is governed by connection {person.connection}"
            return "owned_elsewhere", f"{owner}: `rosterd user move` takes one over"
    elif person.connection is None and person.id in protected:
        return "protected_user", f"person {person.id} is the last owner or break-glass (U6)"
    if user.person is not None and user.person != person.id:
        return "external_id_taken", f"{user.key!r} is person {user.person} there"
    if person.role is Role.GUEST:
        return "guest", f"person {person.id} is a guest, and guests are not provisioned (S2)"
    return "", ""


def group_taken_over(group: Group, former: Group, policy: Policy) -> tuple[Group, Group]:
    """The group under its new id with the former name, and the former one gone (G1).

    A name that the new connection gave it already stays.
    """
    since = max(group.name[0], group.exists[0], group.floor)
    first = _after(since, 1)
    name = group.name if group.exists[1] else (first, former.name[1])
    here = replace(
        group,
        name=name,
        exists=group.exists if group.exists[1] else (first, True),
        is_kept=policy.keeps_group(group.key, name[1]),
    )
    gone = _after(max(former.exists[0], former.floor), 1, 1)
    return here, replace(former, exists=(gone, False), floor=gone, cleared=gone)


def member_taken_over(group: Group, user: str) -> Edge:
    """A membership as it was, older than whatever is said of it from now on."""
    return Edge(group.connection, group.key, user, _after(group.cleared, 1), True)
