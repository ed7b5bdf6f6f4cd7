"""`/v1/connections/{connection}/access`: reading a connection's directory at its IdP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from domain.directories import DirectoryError
from domain.directory_access import DirectoryAccess
from domain.errors import RefusedError
from domain.outbound import check_url, parse_allowed
from worker.adapters.db import rows
from worker.adapters.db.setup import SQLSetup
from worker.adapters.directories.registry import directory_for
from worker.bootstrap import Container
from worker.web.api.answers import reading, tagged
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.connections import WRITES, Which
from worker.web.api.finding import found
from worker.web.api.problems import responses
from worker.web.api.texts import Text
from worker.web.api.writing import Configures

router = APIRouter(tags=["connections"], responses=responses(404))


class DirectoryAccessShown(BaseModel):
    """Where the IdP is asked, and how that goes. The secret is never told."""

    connection: str
    kind: str
    url: str
    details: dict[str, str]
    changed_at: datetime
    answered_at: datetime | None = Field(description="When it last answered.")
    failures: int = Field(description="In a row; while there are some it is asked less often.")
    rests_until: datetime | None = Field(description="It is not asked before.")
    last_error: str | None
    needs_operator: bool = Field(description="It refuses rosterd until somebody changes that.")


class DirectoryAccessTold(Asking):
    """Where, and as whom."""

    kind: Text | None = Field(
        None, description="entra, okta, keycloak, onelogin, pingone or workos; default: the source."
    )
    url: Text
    details: dict[Text, Text] = Field(default_factory=dict, max_length=10)
    secret: Annotated[str, Field(min_length=1, max_length=20_000)] = Field(
        description="A token, a client's secret, or its private key in PEM or as a JWK."
    )


class DirectoryAccessChecked(BaseModel):
    """One page was read."""

    people: int
    is_all: bool = Field(description="There is no further page.")
    total: int | None = Field(description="As the IdP counts, if it does.")
    at: datetime = Field(description="By its clock, a second before its answer.")


@router.get("/connections/{connection}/access", response_model=DirectoryAccessShown)
def show_directory_access(
    connection: Which, caller: Viewer, parts: Parts, request: Request
) -> Response:
    """Where a connection's directory is read."""
    found(caller, parts, rows.connections, "connection", connection)
    with reading(parts) as open_:
        return tagged(request, _shown(open_, parts, connection))


@router.put(
    "/connections/{connection}/access", response_model=DirectoryAccessShown, responses=WRITES
)
def give_directory_access(
    connection: Which, asked: DirectoryAccessTold, write: Configures
) -> Response:
    """Let rosterd read it; what was set before is replaced. Say why."""
    reason, parts = write.because(), write.parts
    row = found(write.caller, parts, rows.connections, "connection", connection)
    if row["state"] == "retired":
        raise RefusedError(f"connection {connection} is retired: nothing is read for it")
    check_url(asked.url, parse_allowed(parts.settings.outbound_allow))
    given = DirectoryAccess(
        asked.kind or row["source"], asked.url, dict(asked.details), asked.secret
    )
    directory_for(given, parts.outbound_http)
    return write.set_up(
        lambda use: use.give_access(row, given, reason=reason),
        lambda open_, _told: (200, _shown(open_, parts, connection)),
    )


@router.delete("/connections/{connection}/access", status_code=204, responses=WRITES)
def take_directory_access(connection: Which, write: Configures) -> Response:
    """Nothing is read any more. Say why."""
    reason = write.because()
    row = found(write.caller, write.parts, rows.connections, "connection", connection)
    write.parts.reading.end_subscriptions(connection)
    return write.set_up(
        lambda use: use.take_access(row, reason=reason), lambda _open, _told: (204, None)
    )


@router.post(
    "/connections/{connection}/access/check",
    response_model=DirectoryAccessChecked,
    responses=WRITES,
)
def check_directory_access(connection: Which, write: Configures) -> DirectoryAccessChecked:
    """Ask for one page of people; 409 says why none came."""
    found(write.caller, write.parts, rows.connections, "connection", connection)
    try:
        return DirectoryAccessChecked(**write.parts.directories.check(connection))
    except DirectoryError as error:
        raise RefusedError(f"the directory was not read: {error}") from error


def _shown(open_: Connection, parts: Container, connection: str) -> DirectoryAccessShown:
    told: dict[str, Any] = SQLSetup(open_, parts.vault, actor="").access_shown(connection)
    told.pop("next_at")
    return DirectoryAccessShown(connection=told.pop("id"), **told)
