"""`/v1/users/{user}/can-open-private-space`: who may do what, asked before it is done (G4)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from worker.adapters.db.group_queries import private_space
from worker.web.api.answers import reading
from worker.web.api.caller import Parts, Reader
from worker.web.api.problems import responses
from worker.web.api.texts import Text, person_ref
from worker.web.api.users import found_person

router = APIRouter(tags=["grants"])


class Actor(BaseModel):
    """Who would do it."""

    model_config = {"extra": "forbid"}

    actor: Text = Field(description="Id of the person who would do it.")


class Grant(BaseModel):
    """Whether the actor may, right now. why: why not; null where they may."""

    actor: str
    user: str
    allowed: bool
    why: str | None


@router.get("/users/{user}/can-open-private-space", responses=responses(404))
def can_open_private_space(
    user: str, caller: Reader, parts: Parts, asked: Annotated[Actor, Query()]
) -> Grant:
    """G4: members of Provision Managers may, until the provisioned person has accepted."""
    with reading(parts) as connection:
        person = found_person(connection, caller, user)
        actor = found_person(connection, caller, person_ref(asked.actor))
        told = private_space(connection, actor.id, person.id)
    return Grant(actor=actor.id, user=person.id, allowed=told["allowed"], why=told["why"])
