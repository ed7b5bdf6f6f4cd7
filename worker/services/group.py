"""Groups by hand: made, named, given permissions and members by operators (G2-G6).

One use case for the command line and the API.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domain import own_groups
from domain.errors import RefusedError
from domain.model import Person
from domain.own_groups import OwnGroup, Permission, check_group_name

Done = TypeVar("Done")


class GroupWork(Protocol):
    """One write transaction of an operator over groups of one account.

    Locks the account, then the identity provider's group where there is one (D5).
    """

    def insist_account(self, account: str) -> None:
        """Lock an account; raises NothingFoundError."""
        ...

    def locked(self, group: str, *, account: str | None = None) -> OwnGroup:
        """The group with this id, its own or a provider's; raises NothingFoundError.

        account: a group of another account is unknown.
        """
        ...

    def member(self, person: str, account: str) -> Person:
        """A person of the account; raises NothingFoundError."""
        ...

    def name_taken(self, account: str, name: str) -> str | None:
        """Id of the group that has the name already, whoever made it."""
        ...

    def save(self, before: OwnGroup | None, after: OwnGroup, *, action: str, reason: str) -> None:
        """Write the group, its provider's side and the audit row.

        Of one that drops out of management the members stay, by hand from now on (G3).
        """
        ...

    def delete(self, group: OwnGroup, *, reason: str) -> int:
        """Take the group and its memberships away, people stay; how many memberships."""
        ...

    def join(self, group: OwnGroup, person: Person, *, is_member: bool, reason: str) -> bool:
        """Add or remove a member by hand; whether that changed anything."""
        ...


class GroupStore(Protocol):
    """Opens the transactions of operators over groups."""

    def change(self, work: Callable[[GroupWork], Done], *, actor: str) -> Done:
        """Do work in one transaction, committed unless it raises."""
        ...


@dataclass(frozen=True, slots=True)
class GroupsByHand:
    """The use case."""

    store: GroupStore
    new_id: Callable[[], str]

    def add(self, account: str, name: str, *, actor: str, reason: str) -> OwnGroup:
        """A group by hand; raises RefusedError where any group has the name."""
        wanted = check_group_name(name)

        def work(unit: GroupWork) -> OwnGroup:
            unit.insist_account(account)
            _insist_free(unit, account, wanted)
            made = OwnGroup(self.new_id(), account, wanted)
            unit.save(None, made, action="group.add", reason=reason)
            return made

        return self.store.change(work, actor=actor)

    def rename(
        self, group: str, name: str, *, actor: str, reason: str, account: str | None = None
    ) -> OwnGroup:
        """G5, G6: another name for a group by hand."""
        wanted = check_group_name(name)

        def work(unit: GroupWork) -> OwnGroup:
            before = unit.locked(group, account=account)
            after = own_groups.renamed(before, wanted)
            _insist_free(unit, before.account, wanted, but=before.id)
            unit.save(before, after, action="group.rename", reason=reason)
            return after

        return self.store.change(work, actor=actor)

    def grant(
        self,
        group: str,
        permission: Permission,
        *,
        actor: str,
        reason: str,
        account: str | None = None,
    ) -> OwnGroup:
        """G3: let a group do something; a managed one may drop out of management by it."""

        def granted(before: OwnGroup) -> tuple[OwnGroup, str]:
            after = own_groups.granted(before, permission)
            dropped = before.is_managed and not after.is_managed
            return after, "group.drop_out" if dropped else "group.grant"

        return self._changed(group, granted, actor=actor, reason=reason, account=account)

    def revoke(
        self,
        group: str,
        permission: Permission,
        *,
        actor: str,
        reason: str,
        account: str | None = None,
    ) -> OwnGroup:
        """Take a permission from a group."""

        def revoked(before: OwnGroup) -> tuple[OwnGroup, str]:
            return own_groups.revoked(before, permission), "group.revoke"

        return self._changed(group, revoked, actor=actor, reason=reason, account=account)

    def _changed(
        self,
        group: str,
        change: Callable[[OwnGroup], tuple[OwnGroup, str]],
        *,
        actor: str,
        reason: str,
        account: str | None,
    ) -> OwnGroup:
        """The group after a change, which is told with the name of its audit row."""

        def work(unit: GroupWork) -> OwnGroup:
            before = unit.locked(group, account=account)
            after, action = change(before)
            unit.save(before, after, action=action, reason=reason)
            return after

        return self.store.change(work, actor=actor)

    def delete(
        self,
        group: str,
        *,
        actor: str,
        reason: str,
        account: str | None = None,
        is_rehearsal: bool = False,
    ) -> tuple[OwnGroup, int]:
        """G1, G5, G6: a group by hand and its memberships go; people stay.

        The group as it was, and how many memberships. is_rehearsal: only say so.
        """

        def work(unit: GroupWork) -> tuple[OwnGroup, int]:
            before = unit.locked(group, account=account)
            own_groups.insist_deletable(before)
            count = unit.delete(before, reason=reason)
            if is_rehearsal:
                raise _RehearsedError(before, count)
            return before, count

        try:
            return self.store.change(work, actor=actor)
        except _RehearsedError as told:
            return told.group, told.count

    def join(
        self, group: str, person: str, *, actor: str, reason: str, account: str | None = None
    ) -> bool:
        """G4-G6: a member by hand; whether they were none before."""
        return self._join(group, person, actor, reason, account, is_member=True)

    def leave(
        self, group: str, person: str, *, actor: str, reason: str, account: str | None = None
    ) -> bool:
        """A member less; whether they were one."""
        return self._join(group, person, actor, reason, account, is_member=False)

    def _join(
        self,
        group: str,
        person: str,
        actor: str,
        reason: str,
        account: str | None,
        *,
        is_member: bool,
    ) -> bool:
        def work(unit: GroupWork) -> bool:
            found = unit.locked(group, account=account)
            who = unit.member(person, found.account)
            own_groups.insist_joinable(found, who if is_member else None)
            return unit.join(found, who, is_member=is_member, reason=reason)

        return self.store.change(work, actor=actor)


class _RehearsedError(Exception):
    """Rolls a dry run back, and carries what it came to."""

    def __init__(self, group: OwnGroup, count: int) -> None:
        super().__init__("a dry run")
        self.group = group
        self.count = count


def _insist_free(unit: GroupWork, account: str, name: str, *, but: str | None = None) -> None:
    taken = unit.name_taken(account, name)
    if taken is not None and taken != but:
        raise RefusedError(f"there is a group {name!r} already: {taken}", code="name_taken")
