"""`/v1/accounts/{account}/access-review`: who had access to what, when, on whose word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from domain.access import Window
from worker.adapters.access_csv import as_csv
from worker.adapters.db import rows
from worker.adapters.db.access_groups import review_groups
from worker.adapters.db.access_lines import review_lines
from worker.adapters.db.access_review import ReviewAsked
from worker.web.api.answers import reading
from worker.web.api.caller import Parts, Viewer
from worker.web.api.finding import found
from worker.web.api.problems import responses
from worker.web.api.texts import Moment, Text, group_row

router = APIRouter(tags=["directory"], responses=responses(404))


class Format(StrEnum):
    """JSON Lines, or CSV with a row for each interval of access."""

    JSON = "json"
    CSV = "csv"


MEDIA = {Format.JSON: "application/x-ndjson", Format.CSV: "text/csv; charset=utf-8"}
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line for each membership; JSON Lines end with how many they were.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


class ReviewQuery(BaseModel):
    """One moment, or what lies between two; one group, or all."""

    model_config = {"extra": "forbid"}

    at: Moment | None = None
    since: Moment | None = None
    until: Moment | None = None
    group: Text | None = Field(None, description="Id or name of a group, a deleted one, too.")
    format: Format = Format.JSON


@router.get(
    "/accounts/{account}/access-review",
    response_class=StreamingResponse,
    responses=ANSWER,
)
def access_review(
    account: Annotated[str, Path(description="Id of the account.")],
    caller: Viewer,
    parts: Parts,
    asked: Annotated[ReviewQuery, Query()],
) -> StreamingResponse:
    """Who had access to which group from when to when, on whose word."""
    found(caller, parts, rows.accounts, "account", account)
    group = group_row(asked.group) if asked.group is not None else None
    wanted = ReviewAsked(account, group, Window(asked.at, asked.since, asked.until))
    if group is not None:
        with reading(parts) as connection:
            review_groups(connection, account, group)

    def told() -> Iterator[str]:
        with reading(parts) as connection:
            lines = review_lines(connection, wanted)
            if asked.format is Format.CSV:
                yield from as_csv(lines)
                return
            for line in lines:
                yield json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n"

    name = f"access-review-{account}.{'csv' if asked.format is Format.CSV else 'jsonl'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(told(), media_type=MEDIA[asked.format], headers=headers)
