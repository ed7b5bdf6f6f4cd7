"""`/v1/erasures`: proofs that somebody was deleted for good (U5)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from worker.adapters.db.proving import Shown, erasures_page, one_erasure
from worker.adapters.db.verifying import verify
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.caller import Caller, Parts, Viewer
from worker.web.api.paging import Page, Paged, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Text

router = APIRouter(tags=["users"], responses=responses(404))
Which = Annotated[str, Path(description="Id of the erasure.")]


class Erasure(BaseModel):
    """One deletion with its proof."""

    id: str
    account: str
    person: str = Field(description="The id that the person had; it leads to nobody.")
    made_at: datetime
    actor: str
    reason: str
    tables: dict[str, dict[str, int]] = Field(
        description="By table: rows deleted, emptied, redacted, resealed, kept."
    )
    tombstones: list[str] = Field(description="Digests that are kept (D16).")


class Verified(BaseModel):
    """What a search of all rows of the account came to."""

    erasure: str
    holds: bool = Field(description="Whether nothing is left.")
    rows: int
    tables: int
    unreadable: int = Field(description="Sealed values that no key opens.")
    left: dict[str, int] = Field(description="By table and column: what should not be there.")
    again: dict[str, int] = Field(description="Names that came back by something newer.")


class ErasuresAsked(Paged):
    """Filters."""

    person: Text | None = Field(None, description="The id that the person had.")


@router.get("/erasures")
def list_erasures(
    caller: Viewer, parts: Parts, asked: Annotated[ErasuresAsked, Query()]
) -> Page[Erasure]:
    """Deletions of an account, or of all that are there."""
    accounts = caller.some_accounts(asked.account)
    with reading(parts) as connection:
        found = erasures_page(
            connection, accounts, after=asked.after, limit=asked.limit + 1, person=asked.person
        )
    page = found[: asked.limit]
    after = page[-1]["id"] if len(found) > asked.limit else None
    return Page(items=[Erasure.model_validate(one) for one in page], next=sealed(after))


@router.get("/erasures/{erasure}")
def show_erasure(erasure: Which, caller: Viewer, parts: Parts) -> Erasure:
    """One deletion with its proof."""
    return Erasure.model_validate(_found(caller, parts, erasure))


@router.get("/erasures/{erasure}/verification")
def verify_erasure(erasure: Which, caller: Viewer, parts: Parts) -> Verified:
    """Search the account's rows, sealed ones opened, for what must not be there; takes a while."""
    _found(caller, parts, erasure)
    with reading(parts) as connection:
        return Verified.model_validate(verify(connection, parts.vault, erasure).as_dict())


def _found(caller: Caller, parts: Container, erasure: str) -> Shown:
    with reading(parts) as connection:
        found = one_erasure(connection, erasure)
    caller.check("erasure", erasure, found["account"])
    return found
