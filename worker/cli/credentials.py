"""What an operator hands over to prove a sender by: its own secret, or whom to trust."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.outbound import check_url, parse_allowed
from domain.ports import Source
from worker.cli.session import container
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
    told = parse_pairs(trust)
    if "jwks_url" in told:
        # What can never be reached is better said now than to every sender.
        check_url(told["jwks_url"], parse_allowed(container().settings.outbound_allow))
    return source.credential(given, told)
