"""Lines as an SVG picture: numbers in, coordinates and ticks out. The template draws them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 320.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 14.0, 8.0, 34.0


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
      label: in the legend.
      x: [n]
      y: [n]; the line has a gap where it is not finite.
      faint: whether it is there to compare with.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    faint: bool = False


class Chart(NamedTuple):
    """Axes with their lines.

    Attributes:
      title: what is shown, in words.
      x_label, y_label: with the units.
      lines: at least one.
      low, high: of the y axis.
      logarithmic: whether the y axis is; `low` is above 0 then.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    low: float
    high: float
    logarithmic: bool = False


class Tick(NamedTuple):
    """Where it is on its axis, and what it says."""

    at: float
    text: str


class Stroke(NamedTuple):
    """A line in the coordinates of the picture: stretches without a gap, and their points."""

    label: str
    style: str
    stretches: Sequence[str]
    points: Sequence[tuple[float, float]]


class Drawn(NamedTuple):
    """A chart in the coordinates of its picture."""

    chart: Chart
    strokes: Sequence[Stroke]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def drawn(chart: Chart) -> Drawn:
    """The picture of a chart. What lies outside its y axis is at the end of that."""
    every = np.concatenate([np.asarray(line.x, float) for line in chart.lines])
    first, last = float(every.min()), float(every.max())

    def across(x: float) -> float:
        part = (x - first) / (last - first) if last > first else 0.5
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def down(y: float) -> float:
        low, high = chart.low, chart.high
        y = min(max(y, low), high)
        if chart.logarithmic:
            low, high, y = math.log(low), math.log(high), math.log(y)
        return round(TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    strokes, own = [], 0
    for line in chart.lines:
        style = "other" if line.faint else f"own own-{own % 4}"
        own += not line.faint
        points = [
            (across(x), down(y)) if math.isfinite(y) else None
            for x, y in zip(np.asarray(line.x, float), np.asarray(line.y, float), strict=True)
        ]
        strokes.append(Stroke(line.label, style, _stretches(points), [p for p in points if p]))
    counted = len({*every}) <= 4
    x_ticks = [Tick(across(x), f"{x:g}") for x in (sorted({*every}) if counted else ())]
    x_ticks = x_ticks or [Tick(across(x), f"{x:g}") for x in _round(first, last)]
    values = _powers(chart) if chart.logarithmic else _round(chart.low, chart.high)
    y_ticks = [Tick(down(y), _power(y) if chart.logarithmic else f"{y:g}") for y in values]
    # what is there to compare with lies below
    strokes.sort(key=lambda stroke: stroke.style != "other")
    return Drawn(chart, strokes, _apart(x_ticks), y_ticks)


def _stretches(points: Sequence[tuple[float, float] | None]) -> list[str]:
    found: list[list[str]] = [[]]
    for point in points:
        if point is None:
            found.append([])
        else:
            found[-1].append(f"{point[0]:g},{point[1]:g}")
    return [" ".join(each) for each in found if len(each) > 1]


def _round(low: float, high: float) -> list[float]:
    """Up to six round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough * (1 - 1e-9))
    count = math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9)
    return [(math.ceil(low / step - 1e-9) + i) * step for i in range(count + 1)]


def _powers(chart: Chart) -> list[float]:
    """Powers of ten within the y axis, at most six."""
    low = math.ceil(math.log10(chart.low) - 1e-9)
    high = math.floor(math.log10(chart.high) + 1e-9)
    stride = max(1, -(-(high - low) // 5))
    return [10.0**n for n in range(high, low - 1, -stride)]


def _power(y: float) -> str:
    exponent = round(math.log10(y))
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{y:g}" if -2 <= exponent <= 2 else f"10{raised}"


def _apart(ticks: Sequence[Tick]) -> list[Tick]:
    """Without those that would run into the one before."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at > 9 * max(len(tick.text), 2):
            kept.append(tick)
    return kept
