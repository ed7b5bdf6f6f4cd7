"""`/v1/events/{event}/edit-and-replay`: another event of a dead one, by a JSON patch (G8)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from domain.inbox import Lane
from domain.keys import row_number
from worker.adapters.db.engine import Changing, Within
from worker.services.replay import Prediction
from worker.web.api.asking import Asking
from worker.web.api.problems import responses
from worker.web.api.writing import Edits

router = APIRouter(tags=["events"])


class Operation(Asking):
    """One operation of a JSON patch (RFC 6902)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Annotated[str, Field(max_length=1_000)]
    source: Annotated[str, Field(max_length=1_000)] | None = Field(None, alias="from")
    value: Any = None


class EditAsked(Asking):
    """The patch, and whether to try it or only tell what would become of it."""

    patch: Annotated[list[Operation], Field(min_length=1, max_length=100)]
    dry_run: bool = False


class Edited(BaseModel):
    """What an edit came to. event: id of the new one; null in a dry run."""

    original: int
    event: int | None
    would_be: str | None = Field(description="In a dry run: what would become of it now.")
    reason: str | None
    does: str | None


@router.post(
    "/events/{event}/edit-and-replay",
    status_code=201,
    response_model=Edited,
    responses={
        200: {"model": Edited, "description": "A dry run: nothing was changed."},
        **responses(400, 404, 409, 413, 415),
    },
)
def edit_and_replay(
    event: Annotated[str, Path(description="Id of a dead event.")],
    asked: EditAsked,
    write: Edits,
) -> Response:
    """Make another event of a dead one, and try it; the original stays as it came. Say why."""
    number = row_number(event, "event")
    patch = [one.model_dump(by_alias=True, exclude_unset=True) for one in asked.patch]
    reason, who = write.because(), write.caller.asker
    parts = write.parts
    if asked.dry_run:
        foreseen = parts.replays.edits.plan(number, patch, who, reason=reason)
        return JSONResponse(_edited(number, None, foreseen).model_dump(), 200)

    def act(database: Changing) -> object:
        # Within the key's transaction: sent again, it finds its answer, not an event that ended.
        return database.change(
            lambda sql: parts.replays.edits_on(Within(sql)).run(number, patch, who, reason=reason)
        )

    def told(_sql: Connection, made: Any) -> tuple[int, Edited]:
        return 201, _edited(number, int(made), None)

    answer = write.answered(act, told)
    for kind in parts.kinds_due(Lane.BULK):
        parts.ringer.ring(kind, Lane.BULK.value, connection="", event_ids=())
    return answer


def _edited(original: int, event: int | None, foreseen: Prediction | None) -> Edited:
    reason = foreseen.result.reason if foreseen is not None else None
    return Edited(
        original=original,
        event=event,
        would_be=foreseen.outcome if foreseen is not None else None,
        reason=reason.value if reason is not None else None,
        does=foreseen.does if foreseen is not None else None,
    )
