"""The sweep: ring whatever is due, so that a lost message costs one interval at most (G6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.inbox import Kind, Lane
from domain.ports import Ringer


class Sweeper(Protocol):
    """What the sweep needs of the database."""

    def heartbeat(self, lanes: Sequence[str]) -> None:
        """Say that this worker lives."""
        ...

    def sweep(self) -> list[tuple[Kind, Lane]] | None:
        """Repair lost batches; what is due, by kind and lane. None: somebody else sweeps."""
        ...

    def repair(self) -> None:
        """Repair lost batches, unless somebody else sweeps just now."""
        ...

    def heads(self, lanes: Sequence[str]) -> dict[str, int]:
        """Lane -> an event that any drain of it would take first; lanes without one are absent."""
        ...

    def notices_due(self) -> bool:
        """Whether any mail waits to be sent."""
        ...

    def announcements_due(self) -> bool:
        """Whether any endpoint waits for something."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass: repair, then ring. It is silent unless there is something to do."""

    sweeper: Sweeper
    ringer: Ringer
    ring_notices: Callable[[], None]
    end_overrides: Callable[[], int]
    ring_announcements: Callable[[], None]
    is_later_due: Callable[[], bool]
    ring_later: Callable[[], None]
    ring_questions: Callable[[], None]
    watch: Callable[[], None]

    def beat(self, *, lanes: Sequence[str]) -> None:
        """This worker lives."""
        self.sweeper.heartbeat(lanes)

    def repair(self) -> None:
        """Count the crashes of whoever is gone, before what they died of is claimed again (D6)."""
        self.sweeper.repair()

    def run(self) -> dict[str, int]:
        """Ring for all that is due."""
        due = self.sweeper.sweep()
        if due is None:
            return {"rung": 0, "busy": 1}
        for kind, lane in due:
            self.ringer.ring(kind, lane.value, connection="", event_ids=())
        self.end_overrides()
        if self.sweeper.notices_due():
            self.ring_notices()
        if self.sweeper.announcements_due():
            self.ring_announcements()
        if self.is_later_due():
            self.ring_later()
        self.ring_questions()
        # Last, so that nothing waits for it, and what it tells goes out with the next pass.
        self.watch()
        return {"rung": len(due), "busy": 0}
