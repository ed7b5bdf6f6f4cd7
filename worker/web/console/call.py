"""One request of somebody who is signed in: what is asked, seen and answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import quote, urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.errors import NothingFoundError, UsageError
from domain.permissions import Asker, Permission
from worker.adapters.db.engine import translated
from worker.adapters.db.setup import SQLSetup, setting_up
from worker.adapters.db.uow import database_now
from worker.bootstrap import Container

#: Of one field of a filter or a form.
LONGEST = 400
#: Of a reason, which people write.
LONGEST_REASON = 500
#: What was done is told on the page that follows, once.
SAID = "rosterd_said"


class Renders(Protocol):
    """Makes pages of templates."""

    def render(self, call: Call, template: str, status: int = 200, **fields: object) -> Response:
        """A whole page."""
        ...


@dataclass(frozen=True)
class Call:
    """A request with whoever asks; `form` is empty unless something is to be done."""

    parts: Container
    request: Request
    asker: Asker
    frame: Renders
    form: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, *, longest: int = LONGEST) -> str:
        """A field of the form, or of the query; "" where it is missing. Raises UsageError."""
        given = self.form or self.request.query_params
        return checked(given.get(name, ""), name, longest=longest)

    def number(self, name: str) -> int | None:
        """A whole number above zero in a field; None where it is missing. Raises UsageError."""
        text = self.text(name, longest=18)
        if text and not (text.isascii() and text.isdigit()):
            raise UsageError(f"{name} is a number, not {text!r}")
        return int(text) if text else None

    def reason(self) -> str:
        """Why something is done, for the audit; raises UsageError without one."""
        text = self.text("reason", longest=LONGEST_REASON)
        if not text:
            raise UsageError("say why: a reason is kept in the audit with your name")
        return text

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def id(self, what: str, name: str = "id") -> int:
        """A number in the path; raises NothingFoundError for what can be none."""
        text = self.part(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004 - of a bigint
            raise NothingFoundError(what, text[:40])
        return int(text)

    def may(self, permission: str) -> bool:
        """Whether to show a button; what it does asks again."""
        return self.asker.may(Permission(permission))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads."""
        with translated(), self.parts.database.read() as connection:
            yield connection

    def setup(self, permission: Permission) -> AbstractContextManager[SQLSetup]:
        """Set-up in one transaction in the asker's name; raises NotPermittedError."""
        self.asker.check(permission)
        seconds = self.parts.settings.link_life.total_seconds()
        return setting_up(
            self.parts.database, self.parts.vault, actor=self.asker.name, link_seconds=seconds
        )

    def render(self, template: str, status: int = 200, **fields: object) -> Response:
        """A page."""
        return self.frame.render(self, template, status, **fields)

    def done(self, to: str, said: str) -> Response:
        """Go on to a page that tells what was done."""
        answer = RedirectResponse(to, 303)
        secure = self.parts.settings.public_url.startswith("https")
        answer.set_cookie(
            SAID, quote(said[:LONGEST]), max_age=60, httponly=True, samesite="lax", secure=secure
        )
        return answer

    def link(self, path: str, **more: object) -> str:
        """An address with these fields in its query, empty ones left out."""
        told = {name: value for name, value in more.items() if value not in (None, "")}
        return f"{path}?{urlencode(told)}" if told else path

    def now(self) -> datetime:
        """The database's clock."""
        with self.reading() as connection:
            return database_now(connection)


def checked(text: str, name: str, *, longest: int = LONGEST) -> str:
    """What somebody wrote into a field, without blanks around it; raises UsageError."""
    told = text.strip()
    if len(told) > longest:
        raise UsageError(f"{name} has {len(told):,} characters; {longest} are enough for it")
    if any(char < " " and char not in "\r\n\t" for char in told) or _is_torn(told):
        raise UsageError(f"{name} holds characters that no text has")
    return told


def _is_torn(text: str) -> bool:
    """Lone halves of characters, which no database takes."""
    return any("\ud800" <= char <= "\udfff" or char == "\x7f" for char in text)
