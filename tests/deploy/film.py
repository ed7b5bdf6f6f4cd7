"""What Prometheus would have seen: scrapes of a real rosterd, each stretched over minutes."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import missing

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yaml"
STEP_SECONDS = 15
Frame = dict[str, float]


@dataclass(frozen=True)
class Scene:
    """Two scrapes and the minutes between: counters run evenly, the rest is at once as it ends."""

    name: str
    minutes: int
    first: Frame
    last: Frame


class Film:
    """Scenes one after the other. scrape: the text of /metrics, or None where nobody answers."""

    def __init__(self, scrape: Callable[[], str | None]) -> None:
        if shutil.which("promtool") is None:
            missing("promtool", "there is no promtool (Debian: apt-get install prometheus)")
        self._scrape = scrape
        self._scenes: list[Scene] = []
        self._frame = self._look()

    def scene(self, name: str, minutes: int = 20) -> None:
        """What happened since the last scene, as if it had taken so long."""
        seen = self._look()
        first = {
            series: self._frame.get(series, 0.0) if _runs(series) else value
            for series, value in seen.items()
        }
        self._scenes.append(Scene(name, minutes, first, seen))
        self._frame = seen

    def firing(self, alert: str) -> dict[str, bool]:
        """Scene -> whether the alert fires at its end."""
        return {
            scene.name: self._fires(alert, sum(s.minutes for s in self._scenes[: number + 1]))
            for number, scene in enumerate(self._scenes)
        }

    def _look(self) -> Frame:
        text = self._scrape()
        if text is None:
            return {'up{job="rosterd"}': 0.0}
        frame = {'up{job="rosterd"}': 1.0}
        now = time.time()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(sample.labels.items()))
                is_moment = sample.name.endswith("_timestamp_seconds")
                frame[f"{sample.name}{{{labels}}}"] = sample.value - (now if is_moment else 0)
        return frame

    def _fires(self, alert: str, minute: int) -> bool:
        fires = f'(sum(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)) > bool 0'
        expected = {
            "expr": fires,
            "eval_time": f"{minute * 60 - STEP_SECONDS}s",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        test = {"interval": "15s", "input_series": self._series(), "promql_expr_test": [expected]}
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
        return done.returncode == 0

    def _series(self) -> list[dict[str, str]]:
        names = sorted({name for scene in self._scenes for name in (*scene.first, *scene.last)})
        return [{"series": name, "values": " ".join(self._values(name))} for name in names]

    def _values(self, name: str) -> list[str]:
        told, at = [], 0
        for scene in self._scenes:
            steps = scene.minutes * 60 // STEP_SECONDS
            if name not in scene.last:
                told.append(f"_x{steps}")
            else:
                first, last = scene.first[name], scene.last[name]
                if "_timestamp_seconds" in name:
                    # Kept as an age at the scene's end; promtool's clock begins at zero.
                    first = last = last + at + scene.minutes * 60
                told.append(f"{first:.6f}{(last - first) / steps:+.9f}x{steps - 1}")
            at += scene.minutes * 60
        return told


def _runs(series: str) -> bool:
    """Whether it is a counter, or part of a histogram."""
    return series.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum"))
