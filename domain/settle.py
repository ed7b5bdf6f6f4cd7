"""Who a subject is, given its facts and earlier decisions: the heart of the product (D1-D4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from domain.contest import Contested, GivesUp, Linked, Overtaken, contest
from domain.decision import Decided, Made, Refused, Waits
from domain.erasure import is_gone
from domain.exchange import (
    Party,
    PartyOf,
    asked,
    has_promised,
    is_ready,
    kept,
    may_leave,
    moved,
    ring_of,
    unasked,
)
from domain.exchange import same_address as _same
from domain.inbox import Reason
from domain.model import Mark, Person, PersonState, Pinned, User, UserFacts
from domain.ordering import (
    INHERITED,
    Standing,
    claim_of,
    in_force,
    in_force_at,
    requested_at,
    run_start,
    standing,
    stays_out,
)
from domain.overriding import as_told, outranked
from domain.policy import OnReturn, Policy
from domain.refusing import Wanted, refusal
from domain.values import Stamp, normalise_address


@dataclass(frozen=True, slots=True)
class UserState:
    """What is known when a change of a subject is decided.

    person: whom the subject is linked to now. pinned: the newest who accepted, if another.
    holder_of: normalised address -> the person who holds it. fresh_id: for a new person.
    protected: ids of people whom provisioning may not touch (U6). party_of: who holds what another
    holder was given, with their subject, as far as that was loaded (E8).
    """

    account: str
    user: User
    person: Person | None
    pinned: Person | None
    holder_of: Callable[[str], Person | None]
    fresh_id: str
    protected: frozenset[str] = frozenset()
    party_of: PartyOf = lambda _address: None


def settle(state: UserState, facts: UserFacts, *, policy: Policy) -> Decided | Refused:
    """Who the subject is, given its facts: a pure function of facts and earlier decisions.

    The facts decide about people as told; overrides are put on top of that again (U9).
    """
    state = _as_told(state)
    settled = _settled(state, facts, policy=policy)
    if isinstance(settled, Refused):
        return settled
    settled = _out_of_ring(state, settled)
    if all(p.override is None for p in settled.people):
        return settled
    return replace(settled, people=tuple(outranked(person) for person in settled.people))


def _as_told(state: UserState) -> UserState:
    if all(p is None or p.override is None for p in (state.person, state.pinned)):
        return state
    return replace(
        state,
        person=None if state.person is None else as_told(state.person),
        pinned=None if state.pinned is None else as_told(state.pinned),
    )


def _out_of_ring(state: UserState, settled: Decided) -> Decided:
    """E8: a ring that somebody left is none; its others cannot prove their new addresses now."""
    before = state.person
    if before is None or not may_leave(before):
        return settled
    known = {person.id for person in settled.people}
    ring = ring_of(Party(before, state.user), state.party_of, state.protected)
    left = [p for p in ring if p.person.pending is not None and p.person.id not in known]
    return replace(settled, people=(*settled.people, *map(unasked, left))) if left else settled


def _settled(state: UserState, facts: UserFacts, *, policy: Policy) -> Decided | Refused:
    user = replace(state.user, facts=facts)
    if is_gone(facts):
        return Decided(user=user)
    if facts.is_described and not facts.emails:
        why = f"nothing told the attribute that is the address ({policy.address})"
        return Refused(Reason.NO_ADDRESS, why)
    if not facts.is_described:
        return Decided(user=user)
    stands = standing(facts, policy.scope)
    settling = _Settling(state, user, stands, policy)
    if user.pinned is None and not stands.was_in_scope:
        reason = Reason.GUEST if stands.is_guest else Reason.OUT_OF_SCOPE
        return settling.nobody(reason)
    if user.pinned is None:
        return settling.newcomer(None)
    key = successor_key(facts, user.pinned, stands, policy)
    if key is None:
        return settling.accepted(user.pinned)
    return settling.newcomer(user.pinned)


def successor_key(
    facts: UserFacts, pinned: Pinned, stands: Standing, policy: Policy
) -> Stamp | None:
    """E5: the reactivation that makes a new person of one who had accepted, if any.

    Judged by stamps: the address given at a return differs from the one in force when the
    person went. A change back to the address in force takes the reason away.
    """
    if policy.on_return is OnReturn.SAME_USER:
        return None
    if _same(str(facts.emails[-1].value), in_force(pinned.marks)):
        return None
    for absence in stands.absences:
        if absence.back is None or absence.gone <= pinned.key:
            continue
        had = in_force_at(pinned.marks, absence.gone)
        given = requested_at(facts.emails, absence.back)
        if had is not None and given is not None and not _same(had, given):
            return absence.back
    return None


class _Settling:
    """One settling of one subject; each public method is one of the answers."""

    def __init__(self, state: UserState, user: User, stands: Standing, policy: Policy) -> None:
        self._state = state
        self._user = user
        self._stands = stands
        self._policy = policy
        self._requested = str(user.facts.emails[-1].value).strip()
        self._claim = claim_of(user.facts, stands)
        self._profile = {
            name: value for name, (_, value) in user.facts.profile.items() if value is not None
        }

    def nobody(self, reason: Reason) -> Decided:
        """Out of scope from the first word on: nobody is made; who was made is withdrawn."""
        person = self._state.person
        gone = (withdrawn(person),) if person is not None else ()
        return Decided(
            user=replace(self._user, person=None),
            people=gone,
            reason=reason,
            has_visible_change=bool(gone),
        )

    def accepted(self, pinned: Pinned) -> Decided | Refused:
        """The person who accepted stays the person: E2 for the address, U3/U4 for the state."""
        before = self._pinned_person()
        email = in_force(pinned.marks)
        is_active = self._stands.is_active
        wants = None if _same(email, self._requested) or not is_active else self._requested
        has_proven = has_promised(self._user)
        refused = self._refusal(
            before,
            lets_in=is_active and before.is_suspended,
            address=wants if wants != before.pending and not has_proven else None,
            in_force=email,
        )
        if refused is not None:
            return refused
        after = replace(
            before,
            email=email,
            requested=self._requested,
            pending=None,
            state=PersonState.ACTIVE if is_active else PersonState.SUSPENDED,
            connection=self._user.connection,
            user=self._user.key,
            governed_by=self._user.connection,
            claim=self._claim,
            profile=self._profile,
        )
        if wants is None:
            return self._stays(before, after)
        if self._rival(wants, before) is not None:
            return self._exchanged(self._stays(before, after, taken=wants), after)
        if not has_proven:
            return self._stays(before, replace(after, pending=wants))
        self._user = replace(self._user, pinned=kept(pinned))
        return self._stays(before, replace(after, email=wants))

    def _stays(self, before: Person, after: Person, taken: str | None = None) -> Decided:
        people = self._without_successor((after,))
        return self._decided(before, people, person=before.id, taken=taken)

    def _exchanged(self, waiting: Decided, mine: Person) -> Decided:
        """E8: the answer to a claim that would wait, where it is one of a ring of claims."""
        me = Party(mine, waiting.user)
        others = ring_of(me, self._state.party_of, self._state.protected)
        rest = tuple(person for person in waiting.people if person.id != mine.id)
        if not others:
            return waiting
        if not all(is_ready(party) for party in (me, *others)):
            people = (*(asked(party) for party in others), asked(me), *rest)
            return replace(waiting, people=people, is_promised=True, has_visible_change=True)
        user, after = moved(me)
        moves = [moved(party) for party in others]
        made = Made("exchange", {"person": mine.id, "with": " ".join(p.id for _, p in moves)})
        return replace(
            waiting,
            user=user,
            people=(*(person for _, person in moves), after, *rest),
            moved=tuple(other for other, _ in moves),
            made=(*waiting.made, made),
            waits_for=None,
            has_visible_change=True,
        )

    def newcomer(self, pinned: Pinned | None) -> Decided | Refused:
        """Nobody accepted yet, or a successor is due: E3, the requested address is in force."""
        current = self._state.person
        if pinned is not None and current is not None and current.id == pinned.person:
            current = None
        is_active = self._stands.is_active
        moves = current is None or not _same(current.email, self._requested)
        refused = self._refusal(
            current,
            lets_in=is_active and (current is None or current.is_suspended),
            address=self._requested if moves and is_active else None,
            in_force=self._requested,
        )
        if refused is not None:
            return refused
        holder = self._rival(self._requested, current) if moves else None
        if holder is None:
            return self._move_in(current, self._requested, pinned)
        verdict = contest(
            holder,
            current,
            address=self._requested,
            claim=self._claim,
            state_policy=self._policy,
            is_leaver=not is_active and pinned is None,
            protected=self._state.protected,
        )
        return self._take(verdict, holder, current, pinned)

    def _take(
        self, verdict: Contested, holder: Person, current: Person | None, pinned: Pinned | None
    ) -> Decided | Refused:
        match verdict:
            case Refused():
                return verdict
            case Linked():
                return self._link(verdict, holder, current, pinned)
            case GivesUp():
                released = replace(holder, has_address=False, connection=None, user=None)
                made = self._move_in(current, self._requested, pinned)
                former = _former(holder)
                return replace(
                    made,
                    people=(released, *made.people),
                    users=(*made.users, *former),
                    made=(*made.made, verdict.made),
                )
            case Overtaken():
                return self._overtaken(verdict, current)
            case Waits():
                return self._wait(current, pinned)

    def _overtaken(self, verdict: Overtaken, current: Person | None) -> Decided:
        """D4, told late: the leaver's invitation is dead, the subject has no person any more."""
        gone = () if current is None else (withdrawn(current),)
        return Decided(
            user=replace(self._user, person=None),
            people=gone,
            made=(verdict.made,) if gone else (),
            has_visible_change=bool(gone),
        )

    def _wait(self, current: Person | None, pinned: Pinned | None) -> Decided:
        """The address is taken: the state is settled at once, the address when it is free."""
        if current is not None:
            waiting = self._move_in(current, current.email, pinned, taken=self._requested)
            mine = next(p for p in waiting.people if p.id == current.id)
            return self._exchanged(waiting, mine)
        if pinned is None:
            return Decided(user=self._user, waits_for=normalise_address(self._requested))
        before = self._pinned_person()
        kept = replace(before, state=PersonState.SUSPENDED, pending=None, requested=self._requested)
        return self._decided(before, (kept,), person=before.id, taken=self._requested)

    def _move_in(
        self,
        current: Person | None,
        email: str,
        pinned: Pinned | None,
        taken: str | None = None,
    ) -> Decided:
        """Make or keep the person who has not accepted, with this address in force."""
        base = current or Person(
            id=self._state.fresh_id,
            account=self._state.account,
            email=email,
            requested=email,
            state=PersonState.INVITED,
        )
        invited = PersonState.INVITED if self._stands.is_active else PersonState.INVITED_SUSPENDED
        after = replace(
            base,
            email=email,
            requested=self._requested,
            pending=None,
            state=invited,
            connection=self._user.connection,
            user=self._user.key,
            governed_by=self._user.connection,
            claim=self._claim,
            profile=self._profile,
        )
        people = (after,) if pinned is None else (after, *self._retired_person(pinned))
        return self._decided(current, people, person=after.id, taken=taken)

    def _link(
        self, verdict: Linked, holder: Person, current: Person | None, pinned: Pinned | None
    ) -> Decided:
        """U7, D4: the holder of the address is the person of this subject from now on."""
        known = {word.by for word in self._user.facts.actives}
        if verdict.made.kind == "link" and holder.is_suspended and INHERITED not in known:
            facts = stays_out(self._user.facts)
            stands = standing(facts, self._policy.scope)
            user = replace(self._user, facts=facts)
            settling = _Settling(self._state, user, stands, self._policy)
            return settling._link(verdict, holder, current, pinned)
        replaced = () if current is None else (withdrawn(current),)
        retired = () if pinned is None else self._retired_person(pinned)
        if not holder.is_accepted:
            settled = self._move_in(holder, self._requested, None)
        else:
            mark = Mark(run_start(self._user.facts.emails), holder.email)
            link = Pinned(holder.id, self._claim, (mark,))
            state = PersonState.ACTIVE if self._stands.is_active else PersonState.SUSPENDED
            after = replace(
                holder,
                requested=self._requested,
                pending=None,
                state=state,
                connection=self._user.connection,
                user=self._user.key,
                governed_by=self._user.connection,
                claim=self._claim,
                profile={**holder.profile, **self._profile},
            )
            user = replace(self._user, person=holder.id, pinned=link)
            settled = Decided(user=user, people=(after,), has_visible_change=True)
        return replace(
            settled,
            people=(*replaced, *retired, *settled.people),
            users=_former(holder),
            made=(verdict.made,),
            has_visible_change=True,
        )

    def _refusal(
        self, person: Person | None, *, lets_in: bool, address: str | None, in_force: str
    ) -> Refused | None:
        is_touched = person is not None and (
            not self._stands.is_active or not _same(person.email, self._requested)
        )
        wanted = Wanted(person, lets_in=lets_in, address=address, in_force=in_force)
        return refusal(wanted, self._policy, is_touched=is_touched, protected=self._state.protected)

    def _rival(self, address: str | None, person: Person | None) -> Person | None:
        """Who else holds the address: not the subject's own people, who make way."""
        if address is None:
            return None
        holder = self._state.holder_of(normalise_address(address))
        holder = None if holder is None else as_told(holder)
        own = [person, self._state.person, self._state.pinned]
        if holder is None or any(p is not None and p.id == holder.id for p in own):
            return None
        return holder

    def _pinned_person(self) -> Person:
        person = self._state.pinned or self._state.person
        if person is None:
            raise LookupError(f"pinned person of {self._user.key} was not loaded")
        return person

    def _without_successor(self, people: tuple[Person, ...]) -> tuple[Person, ...]:
        """D3: a successor who has not accepted goes when its reason is gone."""
        current = self._state.person
        if current is None or current.id == people[0].id:
            return people
        return (*people, withdrawn(current))

    def _retired_person(self, pinned: Pinned) -> tuple[Person, ...]:
        """E5: who had accepted stays suspended and leaves management with the history."""
        before = self._pinned_person()
        if before.id != pinned.person or not before.is_managed or before.user != self._user.key:
            return ()
        return (
            replace(
                before,
                state=PersonState.SUSPENDED,
                requested=before.email,
                pending=None,
                connection=None,
                user=None,
            ),
        )

    def _decided(
        self, before: Person | None, people: tuple[Person, ...], *, person: str, taken: str | None
    ) -> Decided:
        after = next(p for p in people if p.id == person)
        visible = len(people) > 1 or before is None or _is_visible(before, after)
        return Decided(
            user=replace(self._user, person=person),
            people=people,
            has_visible_change=visible or self._state.user.person != person,
            waits_for=None if taken is None else normalise_address(taken),
        )


def _is_visible(before: Person, after: Person) -> bool:
    return replace(before, claim=after.claim) != after


def _former(holder: Person) -> tuple[tuple[str, str], ...]:
    """The subject that the holder was linked to, which loses its person."""
    if holder.connection is None or holder.user is None:
        return ()
    return ((holder.connection, holder.user),)


def withdrawn(person: Person) -> Person:
    """The person as one who is no longer meant: invitation dead, row kept, not exported."""
    return replace(
        person,
        state=PersonState.WITHDRAWN,
        pending=None,
        connection=None,
        user=None,
        has_address=False,
    )
