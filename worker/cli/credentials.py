"""What an operator hands over to prove a sender by: its own secret, or whom to trust."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.ports import Source
from worker.cli.setting import parse_pairs

#: Of the command line, so that the secret itself stands in no list of processes and no history.
FROM_INPUT = "-"

Secret = Annotated[
    str | None,
    typer.Option(
        "--secret",
        help="The sender's own secret, where it gives one out; - reads it from standard input. "
        "Default: one is made.",
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        help="Of a sender that signs with a key of its own: issuer=.., audience=.., jwks_url=..",
    ),
]


def credential(source: Source, typed: str | None, trust: list[str] | None) -> str:
    """What is stored for a feed of this source; raises UsageError."""
    given = sys.stdin.readline() if typed == FROM_INPUT else typed
    return source.credential(given, parse_pairs(trust))
