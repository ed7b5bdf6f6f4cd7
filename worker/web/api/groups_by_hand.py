"""`/v1/groups`, the writing part: groups by hand, what groups may do, who is in them (G2-G6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from domain.errors import NothingFoundError
from domain.own_groups import OwnGroup, Permission
from worker.adapters.db.engine import Changing
from worker.adapters.db.group_pages import one_group
from worker.services.group import GroupsByHand
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.groups import found_group
from worker.web.api.problems import responses
from worker.web.api.shapes import Group, group_of
from worker.web.api.texts import Shown, Text, person_ref
from worker.web.api.writing import Told, Write, Writes

router = APIRouter(tags=["groups"], responses=responses(400, 404, 409, 413, 415))
Which = Annotated[str, Path(description="Id of the group.")]
Who = Annotated[str, Path(description="Id of the person.")]


class NewGroup(Asking):
    """A group that no identity provider makes."""

    name: Shown
    account: Text | None = Field(
        None, description="Id of the account; needed with a token that is for all of them."
    )


class NewName(Asking):
    """Another name."""

    name: Shown


@router.post("/groups", status_code=201, response_model=Group)
def add_group(asked: NewGroup, write: Writes) -> Response:
    """A group by hand; no two groups of an account have one name."""
    account = write.caller.one_account(asked.account)
    return write.answered(
        lambda database: write.parts.groups_on(database).add(
            account, asked.name, actor=write.caller.actor, reason=write.reason
        ),
        _told(201),
    )


@router.patch("/groups/{group}", response_model=Group)
def rename_group(group: Which, asked: NewName, write: Writes) -> Response:
    """G5, G6: a group by hand under another name."""
    return write.answered(
        lambda database: write.parts.groups_on(database).rename(
            _which(group, write),
            asked.name,
            actor=write.caller.actor,
            reason=write.reason,
            account=_owner(group, write),
        ),
        _told(200),
    )


@router.delete("/groups/{group}", status_code=204, response_model=None)
def delete_group(group: Which, write: Writes) -> Response:
    """G1, G5: a group by hand goes with its memberships, people stay. Say why."""
    reason = write.because()
    return write.answered(
        lambda database: write.parts.groups_on(database).delete(
            _which(group, write),
            actor=write.caller.actor,
            reason=reason,
            account=_owner(group, write),
        ),
        _nothing,
    )


@router.put("/groups/{group}/permissions/{permission}", response_model=Group)
def grant(group: Which, permission: Permission, write: Writes) -> Response:
    """G3: let a group do something; a managed one may drop out of management by it."""

    def act(database: Changing) -> OwnGroup:
        return write.parts.groups_on(database).grant(
            _which(group, write), permission, **_on_whose_word(group, write)
        )

    return write.answered(act, _told(200))


@router.delete("/groups/{group}/permissions/{permission}", response_model=Group)
def revoke(group: Which, permission: Permission, write: Writes) -> Response:
    """Take a permission from a group."""

    def act(database: Changing) -> OwnGroup:
        return write.parts.groups_on(database).revoke(
            _which(group, write), permission, **_on_whose_word(group, write)
        )

    return write.answered(act, _told(200))


@router.put("/groups/{group}/members/{user}", status_code=204, response_model=None)
def join(group: Which, user: Who, write: Writes) -> Response:
    """A member by hand; `managed_group` where an identity provider governs the group (G6)."""
    return _member(group, user, write, GroupsByHand.join)


@router.delete("/groups/{group}/members/{user}", status_code=204, response_model=None)
def leave(group: Which, user: Who, write: Writes) -> Response:
    """A member less; `managed_group` where an identity provider governs the group (G6)."""
    return _member(group, user, write, GroupsByHand.leave)


def _member(group: str, user: str, write: Write, act: Callable[..., bool]) -> Response:
    return write.answered(
        lambda database: act(
            write.parts.groups_on(database),
            _which(group, write),
            person_ref(user),
            **_on_whose_word(group, write),
        ),
        _nothing,
    )


def _which(ref: str, write: Write) -> str:
    """The id by which operators' changes know a group, whoever made it."""
    with reading(write.parts) as connection:
        return found_group(connection, write.caller, ref).id


def _owner(ref: str, write: Write) -> str:
    """C4: the account of the group, which may be a child of the token's."""
    with reading(write.parts) as connection:
        return found_group(connection, write.caller, ref).account


def _on_whose_word(group: str, write: Write) -> dict[str, Any]:
    return {
        "actor": write.caller.actor,
        "reason": write.reason,
        "account": _owner(group, write),
    }


def _told(status: int) -> Told:
    def told(connection: Connection, group: OwnGroup) -> tuple[int, Group]:
        seen = one_group(connection, group.id)
        if seen is None:
            raise NothingFoundError("group", group.id)
        return status, group_of(seen)

    return told


def _nothing(_connection: Connection, _done: object) -> tuple[int, None]:
    return 204, None
