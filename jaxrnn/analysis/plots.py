"""Figures. matplotlib is imported when one is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Okabe and Ito's palette, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


class Panel(NamedTuple):
    """One set of axes of learning curves.

    Attributes:
      title: above the axes.
      curves: label to the rows (step, value) of each seed, in nats.
      lines: label to a horizontal line's height, e.g. a loss floor in nats.
    """

    title: str
    curves: dict[str, Sequence[np.ndarray]]
    lines: dict[str, float]


def learning_curves(path: Path, panels: Sequence[Panel]) -> None:
    """Draws the panels side by side into a PNG file: the median over seeds as a line, all of them
    within a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1 + 3.6 * len(panels), 3.4), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, panel in zip(axes, panels, strict=True):
        for i, (label, seeds) in enumerate(panel.curves.items()):
            _band(ax, label, seeds, COLOURS[i % len(COLOURS)])
        for label, height in panel.lines.items():
            ax.axhline(height, color="0.45", linewidth=0.8, linestyle="--")
            ax.annotate(
                label,
                (1, height),
                (0, -1),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="top",  # below a floor no curve is in the way
                fontsize=7,
                color="0.3",
            )
        ax.set_title(panel.title, fontsize=10)
        ax.set_xlabel("training step")
        ax.spines[["top", "right"]].set_visible(False)
        if len(panel.curves) > 1:
            ax.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("loss (nats per time step)")
    axes[0].set_ylim(*_limits(panels))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def ratio_chart(path: Path, ratios: dict[str, dict[str, float]], *, label: str) -> None:
    """Draws ratios into a PNG file, a row for each entry and a dot for each of its values; a line
    stands at 1.

    Args:
      path: of the file.
      ratios: row to series to value, above 0.
      label: under the axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.26 * len(ratios)), layout="constrained")
    ax = figure.subplots()
    rows = list(ratios)
    every = dict.fromkeys(series for values in ratios.values() for series in values)
    for i, series in enumerate(every):
        points = [(ratios[row][series], y) for y, row in enumerate(rows) if series in ratios[row]]
        style = "os^Dv"[i // len(COLOURS) % 5]  # the colours come again in another shape
        ax.plot(*zip(*points, strict=True), style, color=COLOURS[i % len(COLOURS)], label=series)
    ax.axvline(1, color="0.45", linewidth=0.8, linestyle="--")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.grid(axis="x", which="both", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if every:
        figure.legend(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _limits(panels):
    """Room for all lines and 99 % of the losses: a short rise must not flatten the rest."""
    losses = [rows[:, 1] for panel in panels for seeds in panel.curves.values() for rows in seeds]
    losses = np.concatenate(losses)
    lines = [height for panel in panels for height in panel.lines.values()]
    ends = np.percentile(losses[np.isfinite(losses)], [0, 99]) if np.isfinite(losses).any() else []
    low, high = (choose([*ends, *lines], default=0.0) for choose in (min, max))
    margin = 0.05 * (high - low) or 0.05
    return low - 2 * margin, high + margin


def _band(ax, label, seeds, colour):
    steps = seeds[0][:, 0]
    values = np.stack([rows[:, 1] for rows in seeds])
    # a seed whose loss is missing at a step leaves the step to the others
    known = ~np.isnan(values).all(0)
    steps, values = steps[known], values[:, known]
    if len(seeds) > 1:
        low, high = np.nanmin(values, 0), np.nanmax(values, 0)
        ax.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    marker = "o" if len(steps) < 2 else None
    ax.plot(steps, np.nanmedian(values, 0), color=colour, linewidth=1.5, label=label, marker=marker)
