"""Answers that carry an ETag, so that who asks again is told when nothing changed (RFC 9110)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from worker.adapters.db.engine import translated
from worker.bootstrap import Container
from worker.web.api.problems import ProblemError

IfMatch = Annotated[
    str | None, Header(description="ETag of what was read: 412 if somebody changed it since.")
]
_MARKS = re.compile(r'"[^"]*"')


@contextmanager
def reading(parts: Container) -> Iterator[Connection]:
    """A connection that only reads; raises InfrastructureError."""
    with translated(), parts.database.read() as connection:
        yield connection


def tagged(request: Request, found: BaseModel) -> Response:
    """200 with an ETag, or 304 where If-None-Match names it."""
    body = found.model_dump_json().encode()
    mark = etag(body)
    asked = request.headers.get("if-none-match", "")
    if asked.strip() == "*" or mark in _MARKS.findall(asked):
        return Response(status_code=304, headers={"ETag": mark})
    return Response(body, 200, {"ETag": mark}, "application/json")


def etag(body: bytes) -> str:
    """What tells one representation from another."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matched(asked: str | None, now: BaseModel) -> None:
    """Nobody changed it since it was read, where If-Match says so; raises ProblemError."""
    if asked is None or asked.strip() == "*":
        return
    if etag(now.model_dump_json().encode()) not in _MARKS.findall(asked):
        raise ProblemError("changed_meanwhile", "it is not as it was read: read it again")
