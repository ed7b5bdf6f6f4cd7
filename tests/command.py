"""A command as an operator types it, run inside the test's own process.

A process of its own costs more than a second, nearly all of it imports. What differs there
(exit by signal, start-up) is tested by those tests that start processes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from unittest import mock

from typer.main import get_command

from worker.cli import main as cli
from worker.cli import session

#: How Python writes its own values: what no command says to people.
_PYTHON = re.compile(r"<\w+(\.\w+)*: |\bdatetime\.|\b(None|True|False)\b|frozenset\(|[\[{(]'")
Done = subprocess.CompletedProcess[str]
_build_cli = cli.build_cli


class _Keyboard(io.StringIO):
    """Input that somebody types while the output goes elsewhere."""

    def isatty(self) -> bool:
        return True


def run_command(
    words: tuple[str, ...],
    environment: Mapping[str, str],
    *,
    typed: str = "",
    is_attended: bool = False,
) -> Done:
    """Run `rosterd` with these words; what it printed and its exit code.

    typed: its input, by somebody at a keyboard if is_attended.
    """
    out, err = io.StringIO(), io.StringIO()
    read = _Keyboard(typed) if is_attended else io.StringIO(typed)
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["rosterd", *words]),
        mock.patch.object(sys, "stdin", read),
        mock.patch.object(cli, "build_cli", _command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        logs_given_back(),
        _container_of_its_own(),
    ):
        code = _exit_code()
    return subprocess.CompletedProcess(["rosterd", *words], code, out.getvalue(), err.getvalue())


def python_in(text: str) -> list[str]:
    """The lines that show values as Python writes them."""
    return [line for line in text.splitlines() if _PYTHON.search(line)]


@cache
def _command(word: str) -> Any:
    """The command with what begins with this word, which a call neither changes nor closes."""
    return get_command(_build_cli(word))


def _exit_code() -> int:
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:  # noqa: BLE001 - as the interpreter does at the end of a process
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def logs_given_back() -> Iterator[None]:
    """Level and handlers of the root logger are afterwards what they were."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


@contextlib.contextmanager
def _container_of_its_own() -> Iterator[None]:
    session.container.cache_clear()
    try:
        yield
    finally:
        if session.container.cache_info().currsize:
            session.container().close()
        session.container.cache_clear()
