"""The file by which a worker's pool children tell their parent the state of things."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from worker.adapters.prometheus import readable

#: What was told is out of date after so many of the intervals in which it is told.
STALE_INTERVALS = 3


class StateFile(Collector):
    """The newest state that a pool child told, for the parent, which opens no database connection.

    Times are of the monotonic clock, which the processes of one machine have in common.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"

    def write(self, families: Sequence[Metric], *, interval: float) -> None:
        """Tell; whoever reads meanwhile gets the whole of what was told before.

        interval: seconds until it is told again.
        """
        told = {
            "at": time.monotonic(),
            "lives": STALE_INTERVALS * interval,
            "families": [
                [f.name, f.documentation, [[s.labels, s.value] for s in f.samples]]
                for f in families
            ],
        }
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(told), encoding="utf-8")
        draft.replace(self._path)

    def age(self) -> float:
        """Seconds since it was written; endless where it never was."""
        return time.monotonic() - float(self._read()["at"])

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client. What is stale is not told: ages in it have stopped."""
        told = self._read()
        if time.monotonic() - told["at"] >= told["lives"]:
            yield readable(0.0)
        else:
            yield from (_metric(*one) for one in told["families"])

    def _read(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"at": float("-inf"), "lives": 0.0, "families": []}
        return told


def _metric(name: str, says: str, samples: Sequence[tuple[dict[str, str], float]]) -> Metric:
    metric = Metric(name, says, "gauge")
    for labels, value in samples:
        metric.add_sample(name, labels, value)
    return metric
