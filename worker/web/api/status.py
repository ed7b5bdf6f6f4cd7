"""`/v1/status` and `/v1/alerts`: how things are, and what operators were told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from worker.adapters.db import bulk
from worker.adapters.db.gauges import Snapshot
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.narrowing import state_of
from worker.web.api.answers import reading
from worker.web.api.caller import Parts, Viewer
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Text

router = APIRouter(tags=["status"], responses=responses(404))


class Alert(BaseModel):
    """Something that operators are told of by mail; the same thing again is counted."""

    id: str
    account: str | None
    topic: str
    subject: str
    headline: str
    details: list[str]
    urgent: bool
    count: int
    first_at: datetime
    last_at: datetime
    told_at: datetime | None = Field(description="When it was mailed last.")


@router.get("/status")
def show_status(
    caller: Viewer,
    parts: Parts,
    account: Annotated[Text | None, Query(description="That account and its children.")] = None,
) -> Snapshot:
    """Backlog and oldest age per lane and connection, what is held, dead, silent, expiring."""
    if account is not None:
        caller.named_account(account)
    return state_of(parts.database, parts.gauges, account or caller.account)


@router.get("/alerts")
def list_alerts(caller: Viewer, parts: Parts, asked: PagedQuery) -> Page[Alert]:
    """What was told or waits to be, in the order of their ids."""
    mine = caller.some_accounts(asked.account)
    statement = select(alerts).where(alerts.c.id > asked.after).order_by(alerts.c.id)
    with reading(parts) as connection:
        if mine is not None:
            statement = statement.where(bulk.among(alerts.c.account_id, sorted(mine), connection))
        seen = connection.execute(statement.limit(asked.limit + 1)).mappings().all()
    items = [
        Alert(
            account=row["account_id"],
            urgent=row["is_urgent"],
            details=orjson.loads(row["details"]),
            **{name: row[name] for name in Alert.model_fields if name in row and name != "details"},
        )
        for row in seen[: asked.limit]
    ]
    return Page(items=items, next=sealed(items[-1].id if len(seen) > asked.limit else None))
