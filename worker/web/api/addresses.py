"""`/v1/connections/{connection}/address`: which attribute is the address (E9)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from domain.addressing import check_rule
from domain.intake import StoredEvent
from worker.adapters.db import rows
from worker.adapters.db.setup import SQLSetup
from worker.adapters.db.setup_addresses import ReadAnew
from worker.adapters.sources.registry import source_named
from worker.services.readdress import Forecast
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.finding import found
from worker.web.api.observing import ring
from worker.web.api.problems import responses
from worker.web.api.texts import Text
from worker.web.api.writing import Configures

router = APIRouter(tags=["connections"])


class Rule(Asking):
    """Another rule, such as `attributes.work_email`."""

    rule: Text
    dry_run: bool = Field(False, description="Tell whom it would mail, do nothing.")


class MailForeseen(BaseModel):
    """A mail that would go out."""

    to: str
    kind: str


class NewAddress(BaseModel):
    """Somebody's address under the new rule."""

    external_id: str
    before: str
    after: str
    would_be: str
    detail: str
    mails: list[MailForeseen]


class Readdressed(BaseModel):
    """lacking: external ids of whom no such attribute is known; they keep their address."""

    dry_run: bool
    changes: list[NewAddress]
    lacking: list[str]


@router.post(
    "/connections/{connection}/address",
    response_model=Readdressed,
    responses=responses(400, 404, 409, 413, 415),
)
def change_rule(
    connection: Annotated[str, Path(description="Id of the connection.")],
    asked: Rule,
    write: Configures,
) -> Response:
    """E9: the addresses of whom it is known of change, through breaker and mails. Say why."""
    reason, parts = write.reason if asked.dry_run else write.because(), write.parts
    row = found(write.caller, parts, rows.connections, "connection", connection)
    source = source_named(row["source"])
    check_rule(asked.rule, source.addresses, source.name)
    with reading(parts) as open_:
        anew = SQLSetup(open_, parts.vault, actor="").read_anew(row, asked.rule)
    forecasts = parts.readdress.foresee(connection, row["account_id"], anew.new)
    said: list[StoredEvent] = []

    def act(use: SQLSetup) -> None:
        if asked.dry_run:
            return
        now = use.connection(connection)
        use.change_settings(now, {"address": asked.rule}, reason=reason)
        said[:] = use.change_addresses(now, use.read_anew(now, asked.rule).new, reason=reason)

    answer = write.set_up(
        act, lambda _c, _none: (200, _told(anew, forecasts, dry_run=asked.dry_run))
    )
    ring(parts, said, connection)
    return answer


def _told(anew: ReadAnew, forecasts: list[Forecast], *, dry_run: bool) -> Readdressed:
    return Readdressed(
        dry_run=dry_run,
        lacking=list(anew.lacking),
        changes=[
            NewAddress(
                external_id=one.change.user,
                before=one.change.before,
                after=one.change.after,
                would_be=one.result,
                detail=one.detail,
                mails=[MailForeseen(to=to, kind=kind) for to, kind in one.mails],
            )
            for one in forecasts
        ],
    )
