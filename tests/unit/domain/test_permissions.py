"""Roles, scopes and whoever asks (C3, C4)."""

from __future__ import annotations

import itertools

import pytest

from domain.errors import NothingFoundError, UsageError
from domain.permissions import (
    ALL,
    Asker,
    NotPermittedError,
    Permission,
    Role,
    least_role,
    permissions_of,
    permissions_of_scopes,
    role_named,
)


def test_each_role_may_what_the_one_before_may_and_more() -> None:
    held = [permissions_of(role) for role in Role]
    assert all(less < more for less, more in itertools.pairwise(held))
    assert held[-1] == ALL


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        (Permission.VIEW, Role.VIEWER),
        (Permission.DIRECTORY_READ, Role.VIEWER),
        (Permission.VIEW_BODIES, Role.OPERATOR),
        (Permission.REPLAY, Role.OPERATOR),
        (Permission.DISCARD, Role.OPERATOR),
        (Permission.HOLD_ANSWER, Role.OPERATOR),
        (Permission.PAUSE, Role.OPERATOR),
        (Permission.EDIT_EVENT, Role.EDITOR),
        (Permission.DIRECTORY_WRITE, Role.EDITOR),
        (Permission.CONFIGURE, Role.ADMIN),
        (Permission.TOKENS, Role.ADMIN),
        (Permission.OPERATORS, Role.ADMIN),
        (Permission.ERASE, Role.ADMIN),
    ],
)
def test_the_first_role_that_may(permission: Permission, role: Role) -> None:
    assert least_role(permission) is role
    before = list(Role)[: list(Role).index(role)]
    assert not any(permission in permissions_of(lesser) for lesser in before)


@pytest.mark.parametrize(
    ("scopes", "permissions"),
    [
        (["operator"], ALL),
        (["directory:read"], {Permission.DIRECTORY_READ}),
        (["directory:write"], {Permission.DIRECTORY_WRITE}),
        (["operations:read"], {Permission.VIEW, Permission.DIRECTORY_READ}),
        (
            ["operations:write"],
            {Permission.REPLAY, Permission.DISCARD, Permission.HOLD_ANSWER, Permission.PAUSE},
        ),
        (
            ["directory:read", "directory:write"],
            {Permission.DIRECTORY_READ, Permission.DIRECTORY_WRITE},
        ),
        (["scim:read", "scim:write", "metrics"], set()),
        (["operator "], set()),
        ([], set()),
    ],
)
def test_c3_what_scopes_let_a_token_do(scopes: list[str], permissions: set[Permission]) -> None:
    assert permissions_of_scopes(scopes) == permissions


def test_a_role_is_one_of_four_words() -> None:
    assert role_named("editor") is Role.EDITOR
    with pytest.raises(UsageError, match="viewer, operator, editor, admin"):
        role_named("root")


def test_who_may_not_is_told_who_may() -> None:
    viewer = Asker("operator:ana@example.com", permissions_of(Role.VIEWER))
    viewer.check(Permission.VIEW)
    with pytest.raises(NotPermittedError, match="from the role operator on") as refused:
        viewer.check(Permission.REPLAY)
    assert refused.value.code == "not_permitted"
    assert refused.value.permission is Permission.REPLAY


def test_c4_another_accounts_things_are_not_there() -> None:
    asker = Asker("operator:ana@example.com", ALL, frozenset({"acc_1", "acc_2"}), "acc_1")
    asker.check_account("event", "7", "acc_2")
    assert asker.one_account(None) == "acc_1"
    assert asker.one_account("acc_2") == "acc_2"
    for account in ("acc_3", None):
        with pytest.raises(NothingFoundError, match="there is no event '7'"):
            asker.check_account("event", "7", account)
    with pytest.raises(NothingFoundError):
        asker.one_account("acc_3")


def test_who_is_for_all_accounts_names_one() -> None:
    asker = Asker("token:tok_1", ALL)
    asker.check_account("event", "7", "acc_3")
    asker.check_account("event", "7", None)
    assert asker.one_account("acc_3") == "acc_3"
    with pytest.raises(UsageError, match="say"):
        asker.one_account(None)


def test_who_has_no_account_left_sees_nothing() -> None:
    nobody = Asker("operator:ana@example.com", ALL, frozenset(), "acc_1")
    assert not nobody.may_see("acc_1")
    assert not nobody.may_see(None)
