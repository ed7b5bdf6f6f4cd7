"""What Prometheus would have seen: scrapes of a real rosterd, each stretched over minutes."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import missing

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yaml"
STEP_SECONDS = 15
#: name and sorted labels
Key = tuple[str, tuple[tuple[str, str], ...]]
Frame = dict[Key, float]
Scrape = Callable[[], str | None]


def series(text: str) -> Frame:
    """What a page of metrics tells; fails where it tells a series twice."""
    found: Frame = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"{key} comes twice"
            found[key] = sample.value
    return found


@dataclass(frozen=True)
class Scene:
    """Two scrapes and the minutes between: counters run evenly, the rest is at once as it ends."""

    name: str
    minutes: int
    first: Frame
    last: Frame


class Film:
    """Scenes one after the other. Of each scrape: the text, or None where nobody answers.

    web and workers are targets of the jobs that `prometheus.yaml` names.
    """

    def __init__(self, web: Scrape | None = None, *, workers: Scrape | None = None) -> None:
        if shutil.which("promtool") is None:
            missing("promtool", "there is no promtool (Debian: apt-get install prometheus)")
        self._targets = {"rosterd": web or (lambda: None)}
        if workers is not None:
            self._targets["rosterd-workers"] = workers
        self._scenes: list[Scene] = []
        self._frame = self._look()

    def scene(self, name: str, minutes: int = 20) -> None:
        """What happened since the last scene, as if it had taken so long."""
        seen = self._look()
        # A counter that was not there appears with its first count, which increase() cannot see.
        first = {
            key: self._frame.get(key, min(value, 1.0)) if _runs(key[0]) else value
            for key, value in seen.items()
        }
        self._scenes.append(Scene(name, minutes, first, seen))
        self._frame = seen

    def forget_last(self) -> None:
        """As if it had not been filmed."""
        self._scenes.pop()

    def firing(self, alert: str) -> dict[str, bool]:
        """Scene -> whether the alert fires at its end."""
        ends = list(accumulate(scene.minutes * 60 for scene in self._scenes))
        quiet = self._quiet(alert, [f"{end - STEP_SECONDS}s" for end in ends])
        return {
            scene.name: not is_quiet for scene, is_quiet in zip(self._scenes, quiet, strict=True)
        }

    def _look(self) -> Frame:
        frame: Frame = {}
        for job, scrape in self._targets.items():
            text = scrape()
            target = {"job": job, "instance": job}
            frame["up", tuple(sorted(target.items()))] = 0.0 if text is None else 1.0
            now = time.time()
            for (name, labels), value in series(text or "").items():
                since = now if name.endswith("_timestamp_seconds") else 0
                frame[name, tuple(sorted((*labels, *target.items())))] = value - since
        return frame

    def _quiet(self, alert: str, times: list[str]) -> list[bool]:
        """Whether the alert does not fire, at each of the times; promtool tells what it expects."""
        fires = f'(sum(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)) > bool 0'
        # The number of the question says which of them was answered otherwise.
        asked = [
            {
                "expr": f"{fires} or vector({number})",
                "eval_time": time_,
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
            for number, time_ in enumerate(times)
        ]
        test = {"interval": "15s", "input_series": self._series(), "promql_expr_test": asked}
        told = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]}
        done = subprocess.run(
            ["promtool", "test", "rules", "/dev/stdin"],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 or "got:" in said, said
        return [f"or vector({number})" in said for number in range(len(times))]

    def _series(self) -> list[dict[str, str]]:
        rules = RULES.read_text(encoding="utf-8")
        seen = {key for scene in self._scenes for key in (*scene.first, *scene.last)}
        # Most of what is scraped no alert asks for.
        keys = sorted(key for key in seen if key[0] in rules)
        return [{"series": _written(*key), "values": " ".join(self._values(key))} for key in keys]

    def _values(self, key: Key) -> list[str]:
        told, at = [], 0
        for scene in self._scenes:
            steps = scene.minutes * 60 // STEP_SECONDS
            if key not in scene.last:
                told.append(f"_x{steps}")
            else:
                first, last = scene.first[key], scene.last[key]
                if key[0].endswith("_timestamp_seconds"):
                    # Kept as an age at the scene's end; promtool's clock begins at zero.
                    first = last = last + at + scene.minutes * 60
                told.append(f"{first:.6f}{(last - first) / steps:+.9f}x{steps - 1}")
            at += scene.minutes * 60
        return told


def _runs(name: str) -> bool:
    """Whether it is a counter, or part of a histogram."""
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


def _written(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    return f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels)}}}"
