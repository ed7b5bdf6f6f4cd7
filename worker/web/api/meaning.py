"""What a problem's `type` answers: the kind of problem in words."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from domain.errors import NothingFoundError
from worker.web.api.problems import KINDS, TYPES, responses

router = APIRouter(tags=["problems"])


class Meaning(BaseModel):
    """A kind of problem."""

    code: str
    status: int
    title: str
    remedy: str


@router.get(TYPES.removeprefix("/api") + "{code}", responses=responses(404))
async def meaning(code: str) -> Meaning:
    """What a problem means and what to do about it; needs no token."""
    kind = KINDS.get(code)
    if kind is None:
        raise NothingFoundError("kind of problem", code)
    return Meaning(code=code, status=kind.status, title=kind.title, remedy=kind.remedy)
