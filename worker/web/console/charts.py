"""Charts drawn on the server: numbers in, the coordinates of an SVG out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.minutes import Minute, Span, spans
from worker.web.console.words import age, count, latency

#: Size of the drawing, and where its lines begin and end.
WIDTH, HEIGHT = 480, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 6, 8, 20
_TICKS = 4
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Stretch:
    """How far back the charts go. coarse: steps that are one row of their table."""

    name: str
    title: str
    step: timedelta
    count: int
    coarse: int

    @property
    def length(self) -> timedelta:
        """From the first step to the last."""
        return self.step * self.count


STRETCHES = {
    one.name: one
    for one in (
        Stretch("hour", "Last hour", timedelta(minutes=1), 60, 5),
        Stretch("day", "Last day", timedelta(minutes=15), 96, 8),
    )
}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of numbers: its name, its class in the style sheet, and a path for each piece."""

    name: str
    style: str
    paths: tuple[str, ...]
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the chart, or a mark below it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the template draws it. gaps: where nothing was noted, as x and width."""

    id: str
    title: str
    now: str
    says: str
    lines: tuple[Line, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    gaps: tuple[tuple[float, float], ...]
    width: int = WIDTH
    height: int = HEIGHT


Value = Callable[[Minute], float | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chart to be drawn: (name, style, value) of each line, and how a value is written."""

    id: str
    title: str
    lines: tuple[tuple[str, str, Value], ...]
    written: Callable[[float], str]


WANTED = (
    Wanted(
        "rate",
        "Events per minute",
        (
            ("applied", "1", lambda one: one.applied),
            ("failed tries", "2", lambda one: one.retrying + one.dead),
        ),
        count,
    ),
    Wanted(
        "latency",
        "From receipt to the end",
        (
            ("half within", "1", lambda one: one.percentile(0.5)),
            ("95 % within", "3", lambda one: one.percentile(0.95)),
            ("99 % within", "2", lambda one: one.percentile(0.99)),
        ),
        latency,
    ),
    Wanted("backlog", "Events to apply", (("to apply", "1", lambda one: one.backlog),), count),
    Wanted(
        "late",
        "Oldest unapplied suspension",
        (("oldest", "2", lambda one: one.late),),
        age,
    ),
    Wanted(
        "letters",
        "Dead letters and held events",
        (("dead", "2", lambda one: one.letters), ("held", "3", lambda one: one.held)),
        count,
    ),
)


def charts(noted: dict[datetime, Minute], stretch: Stretch, now: datetime) -> list[Chart]:
    """The charts of a stretch of time."""
    found = spans(noted, until=now, step=stretch.step, count=stretch.count)
    per_minute = stretch.step.total_seconds() / 60
    return [_drawn(one, found, per_minute if one.id == "rate" else 1.0) for one in WANTED]


def table(
    noted: dict[datetime, Minute], stretch: Stretch, now: datetime
) -> list[tuple[datetime, Minute | None]]:
    """The same as numbers, the newest first, in coarser steps."""
    found = spans(
        noted,
        until=now,
        step=stretch.step * stretch.coarse,
        count=stretch.count // stretch.coarse,
    )
    return [(one.at, one.minute) for one in reversed(found)]


def _drawn(wanted: Wanted, found: Sequence[Span], per: float) -> Chart:
    values = [[_value(one.minute, value, per) for one in found] for _, _, value in wanted.lines]
    known = [value for row in values for value in row if value is not None]
    top = _round_up(max(known, default=0.0))
    lines = tuple(
        _line(name, style, row, top)
        for (name, style, _), row in zip(wanted.lines, values, strict=True)
    )
    newest = [next((v for v in reversed(row) if v is not None), None) for row in values]
    told = [
        f"{name} {wanted.written(value)}"
        for (name, _, _), value in zip(wanted.lines, newest, strict=True)
        if value is not None
    ]
    most = [
        f"{name} at most {wanted.written(max(v for v in row if v is not None))}"
        for (name, _, _), row in zip(wanted.lines, values, strict=True)
        if any(v is not None for v in row)
    ]
    return Chart(
        wanted.id,
        wanted.title,
        ", ".join(told) or "nothing noted yet",
        f"{_stretch(found)}: {', '.join(most) or 'nothing was noted'}.",
        lines,
        _rows(top, wanted.written),
        _columns(found),
        _gaps(found),
    )


def _value(minute: Minute | None, value: Value, per: float) -> float | None:
    told = value(minute) if minute is not None else None
    return told / per if told is not None else None


def _stretch(found: Sequence[Span]) -> str:
    return f"{found[0].at:%b %d %H:%M} to {found[-1].at:%b %d %H:%M} UTC"


def _round_up(most: float) -> float:
    """The smallest of 1, 2, 5, 10, .. that is not below it; 1 for nothing at all."""
    if most <= 0:
        return 1.0
    scale = 1.0
    while scale * 10 < most:
        scale *= 10
    while scale > most:
        scale /= 10
    return next((s * scale for s in (*_STEPS, 10) if s * scale >= most), most)


def _x(number: int, of: int) -> float:
    return round(_LEFT + number * (WIDTH - _LEFT - _RIGHT) / max(of - 1, 1), 1)


def _y(value: float, top: float) -> float:
    return round(_TOP + (1 - value / top) * (HEIGHT - _TOP - _BOTTOM), 1)


def _line(name: str, style: str, values: Sequence[float | None], top: float) -> Line:
    """A path for each stretch without a gap; a value between two gaps is a dot."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((_x(number, len(values)), _y(value, top)))
    paths = tuple(
        "M" + "L".join(f"{x:g} {y:g}" for x, y in piece) for piece in pieces if len(piece) > 1
    )
    return Line(name, style, paths, tuple(piece[0] for piece in pieces if len(piece) == 1))


def _rows(top: float, written: Callable[[float], str]) -> tuple[Tick, ...]:
    return tuple(Tick(_y(value, top), written(value)) for value in (0.0, top / 2, top))


def _columns(found: Sequence[Span]) -> tuple[Tick, ...]:
    every = len(found) // _TICKS
    return tuple(
        Tick(_x(number, len(found)), f"{found[number].at:%H:%M}")
        for number in range(every // 2, len(found), every)
    )


def _gaps(found: Sequence[Span]) -> tuple[tuple[float, float], ...]:
    """Where nobody noted anything: no worker ran."""
    wide = _x(1, len(found)) - _x(0, len(found))
    gaps: list[list[float]] = []
    for number, one in enumerate(found):
        if one.minute is not None:
            continue
        start = _x(number, len(found)) - wide / 2
        if gaps and abs(gaps[-1][0] + gaps[-1][1] - start) < wide / 4:
            gaps[-1][1] += wide
        else:
            gaps.append([start, wide])
    return tuple((round(max(x, _LEFT), 1), round(w, 1)) for x, w in gaps)
