"""Figures of a measurement and how they are told: medians with their range, a table or JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from worker.cli.output import as_json, out

#: From here on decimals are noise.
WHOLE_FROM = 100


@dataclass(slots=True)
class Series:
    """Values of one thing that was measured, a value a round. unit: such as "/s" or "ms"."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    def line(self) -> str:
        """For people."""
        low, high = min(self.values), max(self.values)
        figures = [
            f"{value:,.{0 if self.median >= WHOLE_FROM else 2}f}"
            for value in (self.median, low, high)
        ]
        return f"{self.name:34} {figures[0]:>9} {self.unit:4} ({figures[1]} - {figures[2]})"


def tell(
    what: str, series: Sequence[Series], *, json_: bool, setting: str, against: int = 1
) -> None:
    """Print the series and how each compares; the last `against` of them are the comparisons."""
    measured = series[: len(series) - against]
    ratios = {
        one.name: one.median / series[len(series) - against + number % against].median
        for number, one in enumerate(measured)
        if against
    }
    if json_:
        found = {"series": [asdict(one) for one in series], "ratios": ratios}
        print(as_json({"what": what, "setting": setting, **found}))
        return
    out.print(f"[bold]{what}[/] · {setting}", markup=True)
    for one in series:
        ratio = f"  {ratios[one.name]:.2f} x" if one.name in ratios else ""
        out.print(f"  {one.line()}{ratio}", highlight=False, markup=False)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
