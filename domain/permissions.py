"""What whoever asks may do, and in which accounts (C3, C4): operators by role, tokens by scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import NothingFoundError, RefusedError, UsageError


class Permission(StrEnum):
    """One thing that may be done; what an operator does names exactly one."""

    #: The directory: people, groups, memberships.
    DIRECTORY_READ = "directory_read"
    #: Everything else that can be seen, what people's data stands in redacted.
    VIEW = "view"
    #: Bodies and addresses as they came.
    VIEW_BODIES = "view_bodies"
    REPLAY = "replay"
    DISCARD = "discard"
    #: Approve or reject what is held.
    HOLD_ANSWER = "hold_answer"
    PAUSE = "pause"
    #: Change an event before it is replayed.
    EDIT_EVENT = "edit_event"
    DIRECTORY_WRITE = "directory_write"
    #: Connections, feeds, domains, settings, endpoints, wordings.
    CONFIGURE = "configure"
    TOKENS = "tokens"
    OPERATORS = "operators"
    ERASE = "erase"


class Role(StrEnum):
    """What an operator is; each may what the one before may, and more."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"


ALL = frozenset(Permission)
_WATCHING = frozenset({Permission.DIRECTORY_READ, Permission.VIEW})
_WORKING = frozenset(
    {Permission.REPLAY, Permission.DISCARD, Permission.HOLD_ANSWER, Permission.PAUSE}
)
_VIEWER = _WATCHING
_OPERATOR = _VIEWER | _WORKING | {Permission.VIEW_BODIES}
_EDITOR = _OPERATOR | {Permission.EDIT_EVENT, Permission.DIRECTORY_WRITE}
_OF_ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.EDITOR: _EDITOR,
    Role.ADMIN: ALL,
}
#: Scopes of tokens that say nothing of operating (`scim:read`, `metrics`) are not here.
_OF_SCOPES: Mapping[str, frozenset[Permission]] = {
    "directory:read": frozenset({Permission.DIRECTORY_READ}),
    "directory:write": frozenset({Permission.DIRECTORY_WRITE}),
    "operations:read": _WATCHING,
    "operations:write": _WORKING,
    "operator": ALL,
}


def permissions_of(role: Role) -> frozenset[Permission]:
    """What an operator of this role may do."""
    return _OF_ROLES[role]


def permissions_of_scopes(scopes: Iterable[str]) -> frozenset[Permission]:
    """What a token with these scopes may do; scopes that are not about operating add nothing."""
    nothing: frozenset[Permission] = frozenset()
    return nothing.union(*(_OF_SCOPES.get(scope, nothing) for scope in scopes))


def scope_with(permission: Permission) -> str:
    """The narrowest scope of a token that may do it."""
    return min(
        (scope for scope, opened in _OF_SCOPES.items() if permission in opened),
        key=lambda scope: len(_OF_SCOPES[scope]),
    )


def least_role(permission: Permission) -> Role:
    """The first role that may do it."""
    return next(role for role in Role if permission in _OF_ROLES[role])


def role_named(text: str) -> Role:
    """The role of this name; raises UsageError."""
    try:
        return Role(text)
    except ValueError:
        raise UsageError(f"role {text!r} is unknown; there are: {', '.join(Role)}") from None


class NotPermittedError(RefusedError):
    """Whoever asks may not do this; the message says who may.

    permission: what it would have needed.
    """

    def __init__(self, name: str, permission: Permission) -> None:
        least = least_role(permission)
        super().__init__(
            f"{name} may not do this: it needs the permission {permission}, "
            f"which operators have from the role {least} on",
            code="not_permitted",
        )
        self.name = name
        self.permission = permission


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks. name: who the audit says it was, `operator:ana@example.com`, `token:tok_1`.

    accounts: ids of those that are there for the asker, an account's children included (C4); None
    for all. home: the id of the account that the asker belongs to, None for the installation's.
    """

    name: str
    permissions: frozenset[Permission]
    accounts: frozenset[str] | None = None
    home: str | None = None

    def may(self, permission: Permission) -> bool:
        """Whether this may be done, in any account that is there for the asker."""
        return permission in self.permissions

    def check(self, permission: Permission) -> None:
        """Raises NotPermittedError where the asker may not."""
        if not self.may(permission):
            raise NotPermittedError(self.name, permission)

    def may_see(self, account: str | None) -> bool:
        """Whether what belongs to this account is there for the asker (G7, C4).

        What belongs to no account, or to one that is not known, is there for those of all only.
        """
        return self.accounts is None or account in self.accounts

    def check_account(self, what: str, id_: str, account: str | None) -> None:
        """Another account's is unknown, like what never was; raises NothingFoundError."""
        if not self.may_see(account):
            raise NothingFoundError(what, id_)

    def one_account(self, named: str | None) -> str:
        """The id of the account that is asked about; raises UsageError or NothingFoundError."""
        if named is None:
            if self.home is None:
                raise UsageError(f"{self.name} is for all accounts: say ?account=ID")
            return self.home
        self.check_account("account", named, named)
        return named
