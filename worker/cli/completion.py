"""`rosterd completion`: what a shell reads to complete commands and options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

PROGRAM, VARIABLE = "rosterd", "_ROSTERD_COMPLETE"


class Shell(StrEnum):
    """Shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("completion")
    def completion(
        shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")],
    ) -> None:
        """Print the script: `rosterd completion bash > ~/.local/share/bash-completion/..`."""
        print(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value))
