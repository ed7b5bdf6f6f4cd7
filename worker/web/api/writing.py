"""Writes: who asks, why, and once for a key (Idempotency-Key)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Security
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import NothingFoundError, UsageError
from domain.permissions import Permission, scope_with
from worker.adapters.db.engine import Changing
from worker.adapters.db.once import (
    NO_MORE,
    Answer,
    AnsweredError,
    Key,
    Once,
    answered_before,
)
from worker.adapters.db.setup import SQLSetup
from worker.bootstrap import Container
from worker.web.api.answers import etag
from worker.web.api.caller import Bearer, Caller, authenticated
from worker.web.api.problems import ProblemError
from worker.web.api.texts import is_text

REPLAYED = {"Idempotency-Replayed": "true"}
LONGEST_REASON = 500
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

#: From a connection in the write's own transaction, and what the write came to, to its answer.
Told = Callable[[Connection, Any], tuple[int, BaseModel | None]]


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changes something."""

    caller: Caller
    reason: str
    parts: Container
    key: Key | None

    def because(self) -> str:
        """The reason, where there has to be one; raises UsageError."""
        if not self.reason:
            raise UsageError("X-Reason: say why; it stands in the audit")
        return self.reason

    def set_up(self, act: Callable[[SQLSetup], object], told: Told) -> Response:
        """Set something up once, in one transaction, and tell what it came to."""
        parts = self.parts

        def unit(connection: Connection) -> object:
            seconds = parts.settings.link_life.total_seconds()
            actor = self.caller.actor
            return act(SQLSetup(connection, parts.vault, actor=actor, link_seconds=seconds))

        return self.answered(lambda database: database.change(unit), told)

    def answered(self, act: Callable[[Changing], object], told: Told) -> Response:
        """Do it once and tell what it came to; raises ProblemError and what act raises."""

        def answer(connection: Connection, done: Any) -> tuple[int, bytes]:
            status, body = told(connection, done)
            return status, body.model_dump_json().encode() if body is not None else b""

        once = Once(self.parts.database, self.parts.vault, self.key, answer)
        try:
            act(once)
        except AnsweredError as error:
            return _again(self.key, error.answer)
        assert once.answer is not None
        return _response(once.answer, {})


class AgainError(Exception):
    """The request was answered before: its answer, whatever became of what it names since."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered already")
        self.response = response


def _again(key: Key | None, answer: Answer) -> Response:
    if key is None or answer.asked != key.asked:
        raise ProblemError(
            "idempotency_key_reused",
            "this Idempotency-Key was sent with another request before",
        )
    if answer.status == NO_MORE:
        raise NothingFoundError("person", more="of whom this Idempotency-Key's answer told")
    return _response(answer, REPLAYED)


def _response(answer: Answer, headers: dict[str, str]) -> Response:
    if not answer.body:
        return Response(status_code=answer.status, headers=headers)
    more = {**headers, "ETag": etag(answer.body)}
    return Response(answer.body, answer.status, more, "application/json")


IdempotencyKey = Annotated[
    str | None, Header(description="Sent again within a day, it is answered the same again.")
]
Why = Annotated[str | None, Header(description="Why, for the audit.")]


class Writing:
    """A write of whoever is permitted something; gives the `Write`."""

    def __init__(self, permission: Permission) -> None:
        self._permission = permission

    async def __call__(
        self,
        request: Request,
        bearer: Bearer,
        idempotency_key: IdempotencyKey = None,
        x_reason: Why = None,
    ) -> Write:
        """Who asks, why, and under which key; raises ProblemError, UsageError."""
        caller = await run_in_threadpool(authenticated, request, bearer, self._permission)
        key, parts = None, request.app.state.parts
        if idempotency_key is not None:
            asked = await _asked(request, idempotency_key)
            # An operator may be of another account by now: what they were told there stays there.
            asker = caller.token if bearer else f"{caller.token}@{caller.account}"
            key = Key(asker, idempotency_key, asked)
            known = await run_in_threadpool(answered_before, parts.database, parts.vault, key)
            if known is not None:
                raise AgainError(_again(key, known))
        return Write(caller, _reason(x_reason), parts, key)


async def _asked(request: Request, key: str) -> bytes:
    """What tells one request from another."""
    if not _KEY.fullmatch(key):
        raise UsageError("Idempotency-Key: 1 to 255 printable ASCII characters, no blanks")
    asked = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    asked.update(f"{request.url.query}\n".encode())
    asked.update(await request.body())
    return asked.digest()


def _reason(header: str | None) -> str:
    """Headers are Latin-1 on the wire, and UTF-8 by whoever writes them."""
    if header is None:
        return ""
    try:
        text = header.encode("latin-1").decode().strip()
    except UnicodeError:
        text = header.strip()
    if not is_text(text) or len(text) > LONGEST_REASON:
        raise UsageError(f"X-Reason: one line of {LONGEST_REASON} characters at most")
    return text


def writes(permission: Permission) -> Any:
    """What goes beside `Write` in an annotation, for the description, too."""
    return Security(Writing(permission), scopes=[scope_with(permission)])


Writes = Annotated[Write, writes(Permission.DIRECTORY_WRITE)]
Configures = Annotated[Write, writes(Permission.CONFIGURE)]
Pauses = Annotated[Write, writes(Permission.PAUSE)]
AnswersHolds = Annotated[Write, writes(Permission.HOLD_ANSWER)]
Appoints = Annotated[Write, writes(Permission.OPERATORS)]
MakesTokens = Annotated[Write, writes(Permission.TOKENS)]
Replays = Annotated[Write, writes(Permission.REPLAY)]
Discards = Annotated[Write, writes(Permission.DISCARD)]
Records = Annotated[Write, writes(Permission.VIEW_BODIES)]
Edits = Annotated[Write, writes(Permission.EDIT_EVENT)]
