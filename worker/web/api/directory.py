"""`/v1/accounts/{account}/directory`: the directory as a whole, out and in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from worker.adapters.db import rows
from worker.adapters.db.export import export_lines
from worker.adapters.db.importing import ImportOrder
from worker.services.importing import Line, Tally
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Reader
from worker.web.api.finding import found
from worker.web.api.problems import LINES, responses
from worker.web.api.writing import Writes

router = APIRouter(tags=["directory"], responses=responses(404))
OfAccount = Annotated[str, Path(description="Id of the account.")]


class Import(Asking):
    """Records as `directory import` reads them, in place of its lines; numbered from 1."""

    records: list[dict[str, Any]] = Field(min_length=1, max_length=20_000)
    invite: bool = Field(False, description="Mail an invitation to who comes in as invited.")
    any_domain: bool = Field(False, description="Also addresses of domains not on the list.")
    dry_run: bool = False


class Refused(BaseModel):
    """A record that was not taken."""

    line: int
    code: str
    why: str


class Imported(BaseModel):
    """What an import came to. unchanged: records that were there already."""

    dry_run: bool
    added: dict[str, int]
    unchanged: int
    refused: list[Refused]


@router.get("/accounts/{account}/directory", response_class=StreamingResponse, responses=LINES)
def export_directory(account: OfAccount, caller: Reader, parts: Parts) -> StreamingResponse:
    """JSON Lines, sorted: users, groups, memberships; nothing volatile."""
    found(caller, parts, rows.accounts, "account", account)

    def lines() -> Iterator[bytes]:
        with reading(parts) as connection:
            for line in export_lines(connection, account):
                told = json.dumps(line.model_dump(), sort_keys=True, ensure_ascii=False)
                yield told.encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.post("/accounts/{account}/directory", responses=responses(400, 404, 409, 413, 415))
def import_directory(account: OfAccount, asked: Import, write: Writes) -> Imported:
    """People, groups and memberships by hand; say why.

    What is there stays as it is: the same records twice change nothing, with or without a key.
    """
    reason = write.reason if asked.dry_run else write.because()
    found(write.caller, write.parts, rows.accounts, "account", account)
    order = ImportOrder(account, write.caller.actor, reason, asked.invite, asked.any_domain)
    tally = Tally()
    use = write.parts.importing(order, is_trial=asked.dry_run)
    lines = (Line(number, record) for number, record in enumerate(asked.records, start=1))
    refused = [
        Refused(line=one.number, code=one.code, why=one.why)
        for batch in use.run(lines, tally)
        for one in batch.refused
    ]
    if asked.invite and not asked.dry_run:
        write.parts.ring_notices()
    return Imported(
        dry_run=asked.dry_run, added=tally.added, unchanged=tally.unchanged, refused=refused
    )
