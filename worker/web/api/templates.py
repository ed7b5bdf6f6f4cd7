"""`/v1/accounts/{account}/mail-templates`: what an account's mails say, and how they look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from domain.consequences import NoticeKind
from domain.errors import NothingFoundError
from domain.wording import LONGEST_SUBJECT, LONGEST_TEXT, MAILS, Wording, check_wording
from worker.adapters.db import rows
from worker.adapters.db.setup import SQLSetup
from worker.adapters.sample_mail import sample
from worker.web.api.answers import IfMatch, matched, reading, tagged
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.finding import found
from worker.web.api.paging import Page
from worker.web.api.problems import responses
from worker.web.api.writing import Configures

router = APIRouter(tags=["mail templates"], responses=responses(404))
WRITES = responses(400, 404, 409, 412, 413, 415)
OfAccount = Annotated[str, Path(description="Id of the account.")]
Which = Annotated[str, Path(description="Kind of mail, such as `invitation`.")]
OWN = [kind for kind in NoticeKind if MAILS[kind].is_own]


class Template(BaseModel):
    """What mails of a kind say."""

    kind: NoticeKind
    own: bool = Field(description="Whether the words are the account's, not ours.")
    subject: str
    text: str
    html: str | None = Field(description="Null: made of the text.")
    language: str
    button: str
    variables: list[str] = Field(description="What may stand in braces: `{{account}}`.")


class NewWording(Asking):
    """Other words; variables are checked now, not when a mail is sent."""

    subject: str = Field(max_length=LONGEST_SUBJECT)
    text: str = Field(max_length=LONGEST_TEXT)
    html: str | None = Field(None, max_length=200_000)
    language: str = Field("en", max_length=40)
    button: str = Field("", max_length=100)


class Preview(BaseModel):
    """A mail as it would look, to an invented person."""

    subject: str
    text: str
    html: str


@router.get("/accounts/{account}/mail-templates")
def list_templates(account: OfAccount, caller: Viewer, parts: Parts) -> Page[Template]:
    """Every kind of mail that may have words of the account; all on one page."""
    found(caller, parts, rows.accounts, "account", account)
    with reading(parts) as connection:
        return Page(items=[_template(connection, parts, account, kind) for kind in OWN], next=None)


@router.get(
    "/accounts/{account}/mail-templates/{kind}",
    response_model=Template,
    responses={304: {"description": "As it was."}},
)
def show_template(
    account: OfAccount, kind: Which, caller: Viewer, parts: Parts, request: Request
) -> Response:
    """What an account's mails of a kind say, with their variables."""
    found(caller, parts, rows.accounts, "account", account)
    chosen = _kind(kind)
    with reading(parts) as connection:
        return tagged(request, _template(connection, parts, account, chosen))


@router.put("/accounts/{account}/mail-templates/{kind}", response_model=Template, responses=WRITES)
def set_template(
    account: OfAccount, kind: Which, asked: NewWording, write: Configures, if_match: IfMatch = None
) -> Response:
    """Other words from now on, also for mails that wait. Say why."""
    reason, parts = write.because(), write.parts
    found(write.caller, parts, rows.accounts, "account", account)
    chosen = _kind(kind)
    wording = check_wording(chosen, Wording(**asked.model_dump()))

    def act(use: SQLSetup) -> None:
        matched(if_match, _template(use.sql, parts, account, chosen))
        use.set_wording(account, chosen, wording, reason)

    return write.set_up(act, lambda open_, _none: (200, _template(open_, parts, account, chosen)))


@router.delete(
    "/accounts/{account}/mail-templates/{kind}", response_model=Template, responses=WRITES
)
def reset_template(account: OfAccount, kind: Which, write: Configures) -> Response:
    """Our words again. Say why."""
    reason, parts = write.because(), write.parts
    found(write.caller, parts, rows.accounts, "account", account)
    chosen = _kind(kind)
    return write.set_up(
        lambda use: use.reset_wording(account, chosen, reason),
        lambda open_, _none: (200, _template(open_, parts, account, chosen)),
    )


@router.get("/accounts/{account}/mail-templates/{kind}/preview")
def preview_template(account: OfAccount, kind: Which, caller: Viewer, parts: Parts) -> Preview:
    """The mail to an invented person; nothing is sent."""
    row = found(caller, parts, rows.accounts, "account", account)
    chosen = _kind(kind, own=False)
    with reading(parts) as connection:
        wording, _ = SQLSetup(connection, parts.vault, actor="").wording(account, chosen)
    settings = parts.settings
    letter = sample(
        chosen, wording, row["name"], public_url=settings.public_url, days=settings.link_days
    )
    return Preview(subject=letter.subject, text=letter.text, html=letter.html)


def _kind(name: str, *, own: bool = True) -> NoticeKind:
    known = [kind.value for kind in NoticeKind if not own or kind in OWN]
    if name not in known:
        raise NothingFoundError("kind of mail", name)
    return NoticeKind(name)


def _template(open_: Connection, parts: Parts, account: str, kind: NoticeKind) -> Template:
    wording, is_own = SQLSetup(open_, parts.vault, actor="").wording(account, kind)
    return Template(
        kind=kind,
        own=is_own,
        subject=wording.subject,
        text=wording.text,
        html=wording.html,
        language=wording.language,
        button=wording.button,
        variables=sorted(MAILS[kind].variables),
    )
