"""`--reason` of every command that leaves a row in the audit."""

from __future__ import annotations

from typing import Annotated

import typer


def insist(reason: str) -> str:
    """The reason; raises BadParameter for a blank one."""
    if not reason.strip():
        raise typer.BadParameter("say why; it stands in the audit")
    return reason


#: Where the audit may go without.
Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]
#: Where it may not.
Why = Annotated[str, typer.Option("--reason", help="Why, for the audit.", callback=insist)]
