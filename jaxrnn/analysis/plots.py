"""Figures. matplotlib is imported when one is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

# Okabe and Ito's palette, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

# where there are more curves than colours, the colours come again
DASHES = ("-", "--", ":")
SHAPES = "os^Dv"


class Panel(NamedTuple):
    """One set of axes of learning curves.

    Attributes:
      title: above the axes.
      curves: label to the rows (step, value) of each seed, in nats.
      lines: label to a horizontal line's height, e.g. a loss floor in nats.
      x_label: what the rows begin with.
      labels: on which side the lines are named; left, where curves end at them.
      x_scale: log, where some curves end long before others.
    """

    title: str
    curves: dict[str, Sequence[np.ndarray]]
    lines: dict[str, float]
    x_label: str = "training step"
    labels: Literal["left", "right"] = "right"
    x_scale: Literal["linear", "log"] = "linear"


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


class TextRow(NamedTuple):
    """A stretch of text with a number for each character.

    Attributes:
      label: in front of it.
      text: the characters.
      values: [len(text)], from 0, white, to 1, dark.
    """

    label: str
    text: str
    values: np.ndarray


def scaled(values: np.ndarray) -> np.ndarray:
    """Values from 0 on, relative to the largest of them; zeros stay zeros."""
    largest = values.max(initial=0)
    return values / largest if largest > 0 else np.zeros_like(values)


def text_rows(path: Path, rows: Sequence[TextRow]) -> None:
    """Draws texts into a PNG file, one a row, each character on the colour of its value."""
    from matplotlib.figure import Figure

    width = max(len(row.text) for row in rows)
    figure = Figure(figsize=(1.6 + 0.15 * width, 0.4 + 0.21 * len(rows)), layout="constrained")
    ax = figure.subplots()
    grid = np.full((len(rows), width), np.nan)
    for y, row in enumerate(rows):
        grid[y, : len(row.text)] = row.values
        for x, (character, value) in enumerate(zip(row.text, row.values, strict=True)):
            colour = "white" if value > 0.6 else "black"
            # a dollar sign is itself, and no formula
            ax.text(
                x,
                y,
                character if character.isprintable() else "·",
                ha="center",
                va="center",
                fontsize=7,
                family="monospace",
                color=colour,
                parse_math=False,
            )
    ax.imshow(grid, cmap="Reds", vmin=0, vmax=1, aspect="auto")
    ax.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=7, parse_math=False)
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def learning_curves(
    path: Path, panels: Sequence[Panel], *, y_label: str = "loss (nats per time step)"
) -> None:
    """Draws the panels side by side into a PNG file: the median over seeds as a line, all of them
    within a band."""
    from matplotlib.figure import Figure

    # panels of the same curves share one legend
    shared = len(panels) > 1 and len(panels[0].curves) > 1
    shared = shared and len({tuple(panel.curves) for panel in panels}) == 1
    most = max(len(panel.curves) for panel in panels)
    legend = 0.6 if shared else 0.16 * -(-most // 2) * (most > 1)
    figure = Figure(figsize=(1 + 3.6 * len(panels), 3.4 + legend), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    low, high = _limits(panels)
    for ax, panel in zip(axes, panels, strict=True):
        for i, (label, seeds) in enumerate(panel.curves.items()):
            _band(
                ax, label, seeds, COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
            )
        for label, height in panel.lines.items():
            # below a floor no curve is in the way; but another line may be
            gaps = [height - other for other in panel.lines.values()]
            above = any(0 < gap < 0.06 * (high - low) for gap in gaps)
            ax.axhline(height, color="0.45", linewidth=0.8, linestyle="--")
            ax.annotate(
                label,
                (float(panel.labels == "right"), height),
                (0, 1 if above else -1),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha=panel.labels,
                va="bottom" if above else "top",
                fontsize=7,
                color="0.3",
            )
        ax.set_title(panel.title, fontsize=10)
        ax.set_xlabel(panel.x_label)
        if panel.x_scale == "log":
            ax.set_xscale("log")
        else:
            ax.ticklabel_format(axis="x", scilimits=(-3, 5))
            drawn = [rows[:, 0] for seeds in panel.curves.values() for rows in seeds]
            counted = all((x == np.round(x)).all() for x in drawn)  # no half epochs
            ax.locator_params(axis="x", nbins=6, integer=counted)
        ax.spines[["top", "right"]].set_visible(False)
        if len(panel.curves) > 1 and not shared:
            # below: inside it would cover curves or lines
            ax.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=7, frameon=False
            )
    if shared:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False
        )
    axes[0].set_ylabel(y_label)
    axes[0].set_ylim(low, high)
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
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(7, 1.2 + 0.26 * len(ratios)), layout="constrained")
    ax = figure.subplots()
    rows = list(ratios)
    every = dict.fromkeys(series for values in ratios.values() for series in values)
    for i, series in enumerate(every):
        points = [(ratios[row][series], y) for y, row in enumerate(rows) if series in ratios[row]]
        style = SHAPES[i // len(COLOURS) % len(SHAPES)]
        ax.plot(*zip(*points, strict=True), style, color=COLOURS[i % len(COLOURS)], label=series)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    # as wide as the names of many series are: the constrained layout cuts what does not fit
    figure.savefig(path, dpi=150, bbox_inches="tight")


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
            "color": COLOURS[i % len(COLOURS)],
            "marker": SHAPES[i // len(COLOURS) % len(SHAPES)],
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
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def decay_chart(path: Path, curves: dict[str, np.ndarray], *, x_label: str, y_label: str) -> None:
    """Draws what shrinks step by step into a PNG file, on a logarithmic axis: of each label's draws
    [draws, steps] the median, and all of them within a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4), layout="constrained")
    ax = figure.subplots()
    for i, (label, draws) in enumerate(curves.items()):
        rows = [np.stack([np.arange(len(draw)), draw], axis=1) for draw in draws]
        _band(ax, label, rows, COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
    ax.set_yscale("log")
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
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


def _band(ax, label, seeds, colour, dash):
    steps = seeds[0][:, 0]
    values = np.stack([rows[:, 1] for rows in seeds])
    # a seed whose loss is missing at a step leaves the step to the others
    known = ~np.isnan(values).all(0)
    steps, values = steps[known], values[:, known]
    if len(seeds) > 1:
        low, high = np.nanmin(values, 0), np.nanmax(values, 0)
        ax.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    marker = "o" if len(steps) < 2 else None
    ax.plot(
        steps,
        np.nanmedian(values, 0),
        dash,
        color=colour,
        linewidth=1.5,
        label=label,
        marker=marker,
    )
