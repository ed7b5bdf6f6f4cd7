"""The file by which a worker's pool children tell their parent the state of things."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from worker.adapters.prometheus import readable

#: So often a worker tells the state anew, and so old it may be before it is no longer told.
STATE_SECONDS = 10.0
STALE_SECONDS = 3 * STATE_SECONDS


class StateFile(Collector):
    """The newest state that a pool child told, for the parent, which opens no database connection.

    Times are of the monotonic clock, which the processes of one machine have in common.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"

    def write(self, families: Sequence[Metric]) -> None:
        """Tell; whoever reads meanwhile gets the whole of what was told before."""
        told = {
            "at": time.monotonic(),
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
        return self._read()[0]

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client. What is stale is not told: ages in it have stopped."""
        age, families = self._read()
        yield from families if age < STALE_SECONDS else [readable(0.0)]

    def _read(self) -> tuple[float, list[Metric]]:
        with suppress(FileNotFoundError):
            told = json.loads(self._path.read_text(encoding="utf-8"))
            return time.monotonic() - told["at"], [_metric(*one) for one in told["families"]]
        return float("inf"), []


def _metric(name: str, says: str, samples: Sequence[tuple[dict[str, str], float]]) -> Metric:
    metric = Metric(name, says, "gauge")
    for labels, value in samples:
        metric.add_sample(name, labels, value)
    return metric
