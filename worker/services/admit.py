"""People by hand: added, given a role, let out and in again by operators (U3, U4, U6, E1-E3).

One use case for the command line and the API. Every write names who did it and why, in the
transaction of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domain import by_hand
from domain.erasure import insist_erasable
from domain.model import Person, Role
from domain.protection import Keeper

Done = TypeVar("Done")


class HandWork(Protocol):
    """One write transaction of an operator.

    Locks are taken in the order of D5: account, then the person's subject, then addresses.
    """

    def locked(self, person: str, *, account: str | None = None) -> Person:
        """The person, with account, subject and addresses locked.

        account: a person of another account is unknown. Raises NothingFoundError.
        """
        ...

    def keepers(self, account: str) -> list[Keeper]:
        """Owners and break-glass people of a locked account."""
        ...

    def insist_account(self, account: str) -> None:
        """Lock an account; raises NothingFoundError."""
        ...

    def save(self, before: Person | None, after: Person, *, action: str, reason: str) -> None:
        """Write the person and what follows: addresses, links, mails, the audit row.

        Raises RefusedError where an address belongs to somebody else (E8).
        """
        ...

    def erase(self, person: Person, *, reason: str) -> str:
        """Delete a locked person for good, and leave a tombstone (U5, D16); id of the proof.

        Raises RefusedError while an event about the person is open.
        """
        ...


class _RehearsedError(Exception):
    """Rolls a dry run back."""


class HandStore(Protocol):
    """Opens the transactions of operators."""

    def change(self, work: Callable[[HandWork], Done], *, actor: str) -> Done:
        """Do work in one transaction, committed unless it raises."""
        ...


@dataclass(frozen=True, slots=True)
class PeopleByHand:
    """The use case. ring: asks for the mails that are due to be sent, best effort."""

    store: HandStore
    new_id: Callable[[], str]
    ring: Callable[[], None]

    def add(
        self,
        account: str,
        email: str,
        *,
        role: Role = Role.MEMBER,
        profile: Mapping[str, str] | None = None,
        is_active: bool = False,
        actor: str,
        reason: str,
    ) -> Person:
        """Somebody whom no identity provider made, invited by mail unless vouched for."""

        def work(unit: HandWork) -> Person:
            unit.insist_account(account)
            made = by_hand.new_person(
                self.new_id(), account, email, role=role, profile=profile or {}, is_active=is_active
            )
            unit.save(None, made, action="user.add", reason=reason)
            return made

        return self._mailed(work, actor)

    def set_role(
        self, person: str, role: Role, *, actor: str, reason: str, account: str | None = None
    ) -> Person:
        """U6: anybody's role, whoever made them; raises RefusedError for the last owner."""

        def work(unit: HandWork) -> Person:
            before = unit.locked(person, account=account)
            after = by_hand.with_role(before, role, unit.keepers(before.account))
            unit.save(before, after, action="user.role", reason=reason)
            return after

        return self.store.change(work, actor=actor)

    def set_break_glass(
        self, person: str, *, is_on: bool, actor: str, reason: str, account: str | None = None
    ) -> Person:
        """U6: mark somebody whom provisioning may not touch, or take the mark away."""

        def work(unit: HandWork) -> Person:
            before = unit.locked(person, account=account)
            after = by_hand.with_break_glass(before, is_break_glass=is_on)
            unit.save(before, after, action="user.break_glass", reason=reason)
            return after

        return self.store.change(work, actor=actor)

    def suspend(
        self, person: str, *, actor: str, reason: str, account: str | None = None
    ) -> Person:
        """U3 by hand; raises RefusedError for whoever an identity provider governs."""

        def work(unit: HandWork) -> Person:
            before = unit.locked(person, account=account)
            after = by_hand.suspended(before, unit.keepers(before.account))
            unit.save(before, after, action="user.suspend", reason=reason)
            return after

        return self.store.change(work, actor=actor)

    def reactivate(
        self, person: str, *, actor: str, reason: str, account: str | None = None
    ) -> Person:
        """U4 by hand; who never accepted is invited anew."""

        def work(unit: HandWork) -> Person:
            before = unit.locked(person, account=account)
            after = by_hand.reactivated(before)
            unit.save(before, after, action="user.reactivate", reason=reason)
            return after

        return self._mailed(work, actor)

    def change_email(
        self, person: str, email: str, *, actor: str, reason: str, account: str | None = None
    ) -> Person:
        """E1-E3 by hand; raises RefusedError with code `managed_by_idp` for the provisioned."""

        def work(unit: HandWork) -> Person:
            before = unit.locked(person, account=account)
            after = by_hand.with_address(before, email)
            unit.save(before, after, action="user.change_email", reason=reason)
            return after

        return self._mailed(work, actor)

    def delete(
        self,
        person: str,
        *,
        actor: str,
        reason: str,
        account: str | None = None,
        is_rehearsal: bool = False,
    ) -> str | None:
        """U5: delete somebody suspended for good; id of the proof, None for a rehearsal.

        Raises RefusedError for anybody else.
        """

        def work(unit: HandWork) -> str:
            found = unit.locked(person, account=account)
            insist_erasable(found, unit.keepers(found.account))
            proof = unit.erase(found, reason=reason)
            if is_rehearsal:
                raise _RehearsedError
            return proof

        with suppress(_RehearsedError):
            return self.store.change(work, actor=actor)
        return None

    def _mailed(self, work: Callable[[HandWork], Person], actor: str) -> Person:
        done = self.store.change(work, actor=actor)
        self.ring()
        return done
