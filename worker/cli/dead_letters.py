"""How an operator names dead letters: by id or by filter; and the pace of a replay."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from domain.errors import UsageError
from domain.inbox import Reason
from domain.keys import letter_number
from domain.replays import Cause, Selection
from worker.adapters.idn import to_entry
from worker.cli.event import moment
from worker.cli.options import word
from worker.cli.session import narrowed

Account = Annotated[str | None, typer.Option(help="Account by name or id.")]
Attached = Annotated[str | None, typer.Option("--connection", help="Connection by name or id.")]
ReasonCode = Annotated[
    Reason | None, word(Reason, "--reason-code", "Why they died, such as domain_not_allowed.")
]
Fingerprint = Annotated[str | None, typer.Option()]
Type = Annotated[str | None, typer.Option("--type")]
Detail = Annotated[str | None, typer.Option(help="Text in the last error.")]
Domain = Annotated[
    str | None, typer.Option(help="Refused for want of this domain: example.com, *.example.com.")
]
Since = Annotated[str | None, typer.Option(help="Time, or 10m, 2h, 3d ago.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Event ids, or d<ID> of a foreign message.")]
OfCause = Annotated[
    Cause | None, word(Cause, "--cause", "Never attempted, refused by a rule, or failed.")
]
Rate = Annotated[str | None, typer.Option(help="20/s, 600/m, or full: as fast as it goes.")]
Ramp = Annotated[
    bool, typer.Option("--ramp", help="In steps of 1, 10, 100 .., each after the one before.")
]
RampOrNot = Annotated[
    bool | None, typer.Option("--ramp/--no-ramp", help="In steps of 1, 10, 100 .., or no more so.")
]
StopAt = Annotated[
    str | None,
    typer.Option(help="Failure ratio above which it stops, or never; with a ramp 20%."),
]
Wait = Annotated[float, typer.Option(help="Seconds to watch it; 0 to leave at once.")]

_ID = re.compile(r"d?[0-9]+")


def number_of(text: str) -> int:
    """An event's id, or minus the letter's for d<ID>; raises UsageError, NothingFoundError."""
    if not _ID.fullmatch(text):
        raise UsageError(f"{text!r} is no id: a number, or d and a number")
    return letter_number(text)


def selection_of(  # noqa: PLR0913, PLR0917 - one argument per option
    ids: list[str] | None,
    account: str | None,
    connection: str | None,
    reason_code: Reason | None,
    fingerprint: str | None,
    type_: str | None,
    detail: str | None,
    since: str | None,
    domain: str | None = None,
) -> Selection:
    """The filter's options as a value; raises UsageError for an id that is none."""
    numbers = tuple(number_of(text) for text in ids or [])
    if any(number < 0 for number in numbers):
        raise UsageError("a foreign message is none of our events: it can be shown or discarded")
    owner, attached = narrowed(account, connection)
    return Selection(
        ids=numbers,
        account=owner,
        connection=attached,
        reason=reason_code,
        fingerprint=fingerprint,
        type=type_,
        detail=detail,
        domain=to_entry(domain) if domain is not None else None,
        since=moment(since),
    )
