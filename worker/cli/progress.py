"""How far a long command is: a bar with rate and time left, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from worker.cli.output import err

#: Called with how much is done.
Done = Callable[[float], None]


class RateColumn(ProgressColumn):
    """So many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self._unit}/s" if speed else "")


@contextmanager
def progress(
    what: str, *, unit: str, total: float | None = None, is_quiet: bool = False
) -> Iterator[Done]:
    """A bar on standard error while a command works; total: None where nobody knows.

    unit: of what is counted, for the rate.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        RateColumn(unit),
        TimeRemainingColumn(),
    )
    is_hidden = is_quiet or not err.is_terminal
    with Progress(*columns, console=err, disable=is_hidden, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
