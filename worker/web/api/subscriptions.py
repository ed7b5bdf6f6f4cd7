"""`/v1/connections/{connection}/subscriptions`: what brings a connection its webhooks."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from worker.adapters.db import rows
from worker.adapters.db.subscription_gauges import listed
from worker.web.api.answers import reading
from worker.web.api.caller import Parts, Viewer
from worker.web.api.connections import WRITES, Which
from worker.web.api.finding import found
from worker.web.api.problems import responses
from worker.web.api.writing import Configures

router = APIRouter(tags=["connections"], responses=responses(404))


class SubscriptionShown(BaseModel):
    """One subscription at the identity provider."""

    id: str
    topic: str = Field(description="What it tells of, in the provider's words.")
    key: str = Field(description="The provider's own id of it.")
    feed_id: str
    secret_id: str = Field(description="Which secret of the feed it bears.")
    made_at: datetime
    renewed_at: datetime
    renew_at: datetime = Field(description="Half of its life: it is renewed then.")
    ends_at: datetime


class SubscriptionsShown(BaseModel):
    """All of a connection's."""

    connection: str
    subscriptions: list[SubscriptionShown]
    looked_after_at: datetime | None = Field(description="When a worker looks next.")
    failures: int = Field(description="In a row; 0 while all is well.")
    why: str = Field(description="What kept them from being made or renewed; else empty.")


@router.get("/connections/{connection}/subscriptions")
def list_subscriptions(connection: Which, caller: Viewer, parts: Parts) -> SubscriptionsShown:
    """Made and renewed by workers, where rosterd has access to the directory."""
    found(caller, parts, rows.connections, "connection", connection)
    with reading(parts) as open_:
        return _shown(open_, connection)


@router.post(
    "/connections/{connection}/subscriptions/renew",
    status_code=202,
    response_model=SubscriptionsShown,
    responses=WRITES,
)
def renew_subscriptions(connection: Which, write: Configures) -> Response:
    """Have a worker renew them at once; look again for what came of it. Say why."""
    reason = write.because()
    row = found(write.caller, write.parts, rows.connections, "connection", connection)
    return write.set_up(
        lambda use: use.renew_subscriptions(row, reason=reason),
        lambda open_, _told: (202, _shown(open_, connection)),
    )


def _shown(open_: Connection, connection: str) -> SubscriptionsShown:
    return SubscriptionsShown(**listed(open_, connection))
