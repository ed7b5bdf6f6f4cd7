"""Options that many commands have: one type for each, with its bounds."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

from domain.errors import UsageError
from domain.keys import row_number

#: As long as a list is, and as high as a limit goes: more is a slip, and no number of a database.
MOST = 1_000_000_000

Limit = Annotated[int, typer.Option(min=1, max=MOST, help="So many at most.")]
HIGHEST_PORT = 65_535
Days = Annotated[int | None, typer.Option(min=0, max=36_500, help="Days until it expires.")]
#: As the API bounds it.
Overlap = Annotated[
    float, typer.Option(min=0, max=8_760, help="Hours for which the old secret is good, too.")
]


def own_address(text: str) -> str:
    """The IP address behind a host, where this machine can listen on it; raises UsageError."""
    try:
        family, kind, _, _, (address, *_) = socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind((address, 0))
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {text!r} is no address of this machine: {error}") from error
    return str(address)


Host = Annotated[
    str, typer.Option("--host", parser=own_address, metavar="HOST", help="Where to listen.")
]


def event_number(text: str) -> int:
    """An event's id; raises UsageError for no number, NothingFoundError for one too large."""
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text!r} is no id of an event: a number, as `rosterd event list` has it")
    return row_number(text, "event")


EventNumber = Annotated[
    int, typer.Argument(parser=event_number, metavar="EVENT", help="Id of an event.")
]
Word = TypeVar("Word", bound=StrEnum)


def one_of(words: type[Word], given: str, option: str) -> Word:
    """The word that an option was given; raises UsageError."""
    if given not in list(words):
        raise UsageError(f"{option} {given!r}: one of {', '.join(words)}")
    return words(given)


def word(words: type[StrEnum], option: str, told: str = "") -> Any:
    """What an annotation says of an option that takes one of these words."""

    def parse(given: str) -> StrEnum:
        return one_of(words, given, option)

    named = f"[{'|'.join(words)}]"
    return typer.Option(
        option, parser=parse, metavar=named, help=told, autocompletion=lambda: list(words)
    )
