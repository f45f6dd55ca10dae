"""What methods cost and what they are worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxrnn.analysis.plots.style import colour, save, shape


class Mark(NamedTuple):
    """An estimator on the planes of `trade_off`.

    Attributes:
      label: of the estimator.
      ms_per_step: what it costs in time.
      relative_error: its distance from the truth, as a part of the truth's size.
      bias: the part of that which is the same every time.
      noise: the part that is not, a standard deviation.
      bytes: what it costs in memory.
    """

    label: str
    ms_per_step: float
    relative_error: float
    bias: float
    noise: float
    bytes: int


def ratio_chart(path: Path, ratios: dict[str, dict[str, float]], *, label: str) -> None:
    """Draws ratios into a PNG file, a row for each entry and a dot for each of its values; a line
    stands at 1.

    Args:
      path: of the file.
      ratios: row to series to value, above 0.
      label: under the axis.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(7, 1.2 + 0.26 * len(ratios)), layout="constrained")
    ax = figure.subplots()
    rows = list(ratios)
    every = dict.fromkeys(series for values in ratios.values() for series in values)
    for i, series in enumerate(every):
        points = [(ratios[row][series], y) for y, row in enumerate(rows) if series in ratios[row]]
        ax.plot(*zip(*points, strict=True), shape(i), color=colour(i), label=series)
    ax.axvline(1, color="0.45", linewidth=0.8, linestyle="--")
    ax.set_xscale("log")
    # powers of ten alone leave most ratios without a number near them
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.grid(axis="x", which="both", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if every:
        figure.legend(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    # as wide as the names of many series are: the constrained layout cuts what does not fit
    save(figure, path, bbox="tight")


def trade_off(path: Path, marks: Sequence[Mark]) -> None:
    """Draws estimators into a PNG file: error against time, the area as large as the memory, and
    noise against bias; axes that reach 0 are linear up to 0.01."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    cost, parts = figure.subplots(1, 2)
    largest = max(mark.bytes for mark in marks) or 1
    for i, mark in enumerate(marks):
        look = {
            "color": colour(i),
            "marker": shape(i),
            "alpha": 0.75,
            "linewidth": 0,
        }
        area = 20 + 400 * mark.bytes / largest
        cost.scatter(mark.ms_per_step, mark.relative_error, s=area, **look)
        parts.scatter(mark.bias, mark.noise, s=50, label=mark.label, clip_on=False, **look)
    cost.set_xscale("log")
    cost.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    cost.xaxis.set_minor_locator(NullLocator())
    cost.xaxis.set_major_formatter("{x:g}")
    cost.set_yscale("symlog", linthresh=0.01)
    cost.set_ylim(-0.002, 2 * max(mark.relative_error for mark in marks) + 0.01)
    cost.set_xlabel(f"ms per time step (area: memory, at most {largest / 1e3:,.0f} kB)")
    cost.set_ylabel("distance from the full gradient / its norm")
    # from exact to many times the gradient itself: no linear axis shows both
    for axis, values in (("x", [m.bias for m in marks]), ("y", [m.noise for m in marks])):
        getattr(parts, f"set_{axis}scale")("symlog", linthresh=0.01)
        getattr(parts, f"set_{axis}lim")(0, 2 * max(*values, 0.01))
    parts.set_xlabel("bias / norm of the full gradient")
    parts.set_ylabel("noise / norm of the full gradient")
    for ax in (cost, parts):
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(which="major", color="0.9", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save(figure, path)
