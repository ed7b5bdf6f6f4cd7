"""Groups of the account's own: built in or made by hand, and what operators let groups do (G2-G6).

An identity provider's group gets one, too, once an operator said something of it, or once it was
linked to a group of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.errors import RefusedError, UsageError
from domain.keys import group_id
from domain.model import Person, PersonState, Role
from domain.policy import BUILT_IN_GROUPS


class Permission(StrEnum):
    """What a group may let its members do; the list is closed."""

    RECOVER_ACCOUNTS = "recover_accounts"
    MANAGE_ALL_GROUPS = "manage_all_groups"
    OPEN_PRIVATE_SPACE = "open_private_space"


#: A sentence for each, as listings and the API show it.
PERMISSIONS: Mapping[Permission, str] = {
    Permission.RECOVER_ACCOUNTS: "give anybody of the account back their way in",
    Permission.MANAGE_ALL_GROUPS: "change every group, its members and what it may do",
    Permission.OPEN_PRIVATE_SPACE: (
        "open the private space of somebody provisioned until that person has accepted"
    ),
}
#: Whoever holds one of these could let themselves into anything: no provider decides that (G3).
PROTECTING = frozenset({Permission.RECOVER_ACCOUNTS, Permission.MANAGE_ALL_GROUPS})

OWNERS, ADMINISTRATORS, TEAM_MEMBERS, SECURITY, PROVISION_MANAGERS = BUILT_IN_GROUPS
#: What an account begins with; Provision Managers comes with its first active connection (G4).
FIRST_GROUPS = (OWNERS, ADMINISTRATORS, TEAM_MEMBERS, SECURITY)
#: Built-in groups whose members are those of a role.
ROLES_OF: Mapping[str, frozenset[Role]] = {
    OWNERS: frozenset({Role.OWNER}),
    ADMINISTRATORS: frozenset({Role.ADMINISTRATOR}),
    TEAM_MEMBERS: frozenset({Role.OWNER, Role.ADMINISTRATOR, Role.MEMBER}),
}
#: What built-in groups may do from the first day, for good.
GIVEN: Mapping[str, frozenset[Permission]] = {
    OWNERS: frozenset({Permission.RECOVER_ACCOUNTS, Permission.MANAGE_ALL_GROUPS}),
    ADMINISTRATORS: frozenset({Permission.RECOVER_ACCOUNTS, Permission.MANAGE_ALL_GROUPS}),
    PROVISION_MANAGERS: frozenset({Permission.OPEN_PRIVATE_SPACE}),
}
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class OwnGroup:
    """A group as operators see it.

    connection, key: the identity provider's group that it stands for, if any. is_managed: that
    provider decides its name and members; False again once it dropped out (G3).
    """

    id: str
    account: str
    name: str
    is_built_in: bool = False
    permissions: frozenset[Permission] = frozenset()
    connection: str | None = None
    key: str | None = None
    is_managed: bool = False

    @property
    def is_protected(self) -> bool:
        """G3, G5: no identity provider may ever manage it."""
        return self.is_built_in or bool(self.permissions & PROTECTING)

    @property
    def follows(self) -> frozenset[Role]:
        """The roles whose people are its members; none where members are added by hand."""
        return ROLES_OF.get(self.name, frozenset()) if self.is_built_in else frozenset()


def known_as(group: OwnGroup) -> str:
    """The id under which history knows a group: the provider's where it stands for one."""
    if group.connection is None or group.key is None:
        return group.id
    return group_id(group.connection, group.key)


def name_key(name: str) -> str:
    """The form in which two names of groups are the same."""
    return " ".join(name.split()).casefold()


_BUILT_IN = frozenset(name_key(name) for name in BUILT_IN_GROUPS)


def is_built_in_name(name: str) -> bool:
    """G5: whether the name belongs to a built-in group, made yet or not."""
    return name_key(name) in _BUILT_IN


def check_group_name(name: str) -> str:
    """A name for a group by hand; raises UsageError."""
    text = " ".join(name.split())
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise UsageError(f"{name!r} is no name: 1 to {LONGEST_NAME} printable characters")
    if is_built_in_name(text):
        raise UsageError(f"{text!r} is the name of a built-in group (G5)")
    return text


def permission_named(text: str) -> Permission:
    """A permission by its word; raises UsageError."""
    if text not in list(Permission):
        raise UsageError(f"permission {text!r}: one of {', '.join(Permission)}")
    return Permission(text)


def built_in(id_: str, account: str, name: str) -> OwnGroup:
    """One of the five, as it is made."""
    permissions = GIVEN.get(name, frozenset())
    return OwnGroup(id_, account, name, is_built_in=True, permissions=permissions)


def renamed(group: OwnGroup, name: str) -> OwnGroup:
    """G5, G6: a group by hand under another name."""
    _insist_not_built_in(group, "renamed")
    insist_by_hand(group)
    return replace(group, name=name)


def granted(group: OwnGroup, permission: Permission) -> OwnGroup:
    """G3: a managed group that is given a protecting permission drops out of management."""
    _insist_not_given(group)
    after = replace(group, permissions=group.permissions | {permission})
    return replace(after, is_managed=group.is_managed and not after.is_protected)


def revoked(group: OwnGroup, permission: Permission) -> OwnGroup:
    """Without the permission. Who dropped out stays out until its provider's group is replayed."""
    _insist_not_given(group)
    return replace(group, permissions=group.permissions - {permission})


def insist_deletable(group: OwnGroup) -> None:
    """G5, G6: only groups by hand are deleted by hand."""
    _insist_not_built_in(group, "deleted")
    insist_by_hand(group)


def insist_by_hand(group: OwnGroup) -> None:
    """G6: while a group is managed, nothing of it is changed by hand."""
    if group.is_managed:
        raise RefusedError(
            f"managed_group: {group.name!r} is managed by connection {group.connection}; change "
            "it at the identity provider",
            code="managed_group",
        )


def insist_joinable(group: OwnGroup, person: Person | None = None) -> None:
    """G4-G6: whether the members of a group are told by hand, and this person may be one."""
    insist_by_hand(group)
    if group.follows:
        raise RefusedError(
            f"members of {group.name} are whoever has the role: `rosterd user role`",
            code="follows_role",
        )
    if person is None:
        return
    if person.state is PersonState.WITHDRAWN:
        raise RefusedError(f"{person.id} was withdrawn and belongs nowhere")
    if person.role is Role.GUEST and group.permissions:
        raise RefusedError(f"{person.id} is a guest, and {group.name} holds permissions")


def _insist_not_built_in(group: OwnGroup, what: str) -> None:
    if group.is_built_in:
        raise RefusedError(
            f"{group.name} is built in and cannot be {what} (G5)", code="protected_group"
        )


def _insist_not_given(group: OwnGroup) -> None:
    if group.is_built_in and group.name in GIVEN:
        raise RefusedError(f"what {group.name} may do is built in (G4, G5)", code="protected_group")


def why_closed(actor: Person, person: Person, *, actor_holds: bool) -> str | None:
    """G4: why the actor cannot open the person's private space; None where they can.

    actor_holds: the actor is in a group with `open_private_space`.
    """
    if actor.account != person.account:
        return "they are not of one account"
    if actor.state is not PersonState.ACTIVE:
        return f"{actor.id} is {actor.state.value}"
    if not actor_holds:
        return f"{actor.id} is in no group with open_private_space"
    if not person.is_managed:
        return f"{person.id} was not provisioned"
    if person.is_accepted:
        return f"{person.id} has accepted: the space is theirs alone"
    return None
