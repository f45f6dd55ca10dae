"""Curves of several seeds or draws, with bands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jaxrnn.analysis.coverage import interval_note
from jaxrnn.analysis.plots.style import DASHED, caption, colour, dash, legend_columns, save
from jaxrnn.analysis.statistics import iqm_by_step


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


def learning_curves(
    path: Path, panels: Sequence[Panel], *, y_label: str = "loss (nats per time step)"
) -> None:
    """Draws the panels side by side into a PNG file: of several seeds the interquartile mean as a
    line, its interval as a dark band, all of them within a light one."""
    from matplotlib.figure import Figure

    # panels of the same curves share one legend
    shared = len(panels) > 1 and len(panels[0].curves) > 1
    shared = shared and len({tuple(panel.curves) for panel in panels}) == 1
    most = max(len(panel.curves) for panel in panels)
    width = 3.6 if len(panels) > 1 else 4.6
    every = [label for panel in panels for label in panel.curves]
    columns = legend_columns(every, width, 2, 7.0)
    legend = 0.6 if shared else 0.16 * -(-most // columns) * (most > 1)
    figure = Figure(figsize=(1 + width * len(panels), 3.4 + legend), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    low, high = _limits(panels)
    for ax, panel in zip(axes, panels, strict=True):
        for i, (label, seeds) in enumerate(panel.curves.items()):
            _draw(ax, label, seeds, colour(i), dash(i), 2 * high - low)
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
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
                ncols=columns,
                handlelength=DASHED,
                fontsize=7,
                frameon=False,
            )
    if shared:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=legend_columns(labels, float(figure.get_figwidth()), 4, 8.0),
            handlelength=DASHED,
            fontsize=8,
            frameon=False,
        )
    axes[0].set_ylabel(y_label)
    if counts := {len(seeds) for panel in panels for seeds in panel.curves.values()} - {1}:
        seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{min(counts)}"
        said = f"line: interquartile mean of {seeds} seeds; dark: its {interval_note(counts)}; "
        caption(figure, said + "light: lowest to highest")
    axes[0].set_ylim(low, high)
    save(figure, path)


def decay_chart(path: Path, curves: dict[str, np.ndarray], *, x_label: str, y_label: str) -> None:
    """Draws what shrinks step by step into a PNG file, on a logarithmic axis: of each label's draws
    [draws, steps] the median, and all of them within a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4), layout="constrained")
    ax = figure.subplots()
    for i, (label, draws) in enumerate(curves.items()):
        steps, mine = np.arange(draws.shape[1]), colour(i)
        ax.fill_between(steps, draws.min(0), draws.max(0), alpha=0.2, linewidth=0, color=mine)
        ax.plot(steps, np.median(draws, 0), dash(i), linewidth=1.5, label=label, color=mine)
    ax.set_yscale("log")
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    save(figure, path)


def _limits(panels):
    """Room for all lines and 99 % of the losses: a short rise must not flatten the rest."""
    losses = [rows[:, 1] for panel in panels for seeds in panel.curves.values() for rows in seeds]
    losses = np.concatenate(losses)
    lines = [height for panel in panels for height in panel.lines.values()]
    ends = np.percentile(losses[np.isfinite(losses)], [0, 99]) if np.isfinite(losses).any() else []
    low, high = (choose([*ends, *lines], default=0.0) for choose in (min, max))
    margin = 0.05 * (high - low) or 0.05
    return low - 2 * margin, high + margin


def _draw(ax, label, seeds, colour, dash, above):
    steps = seeds[0][:, 0]
    values = np.stack([rows[:, 1] for rows in seeds])
    line = values[0]
    if len(seeds) > 1:
        # a seed without a number diverged there, and counts as the worst
        found = iqm_by_step(np.nan_to_num(values, nan=np.inf, posinf=np.inf, neginf=-np.inf))
        high = np.minimum(found.high, above)  # an end that is infinite is out of sight
        line, low = (np.where(np.isfinite(each), each, np.nan) for each in found[:2])
        known = ~np.isnan(values).all(0)
        least, most = np.nanmin(values[:, known], 0), np.nanmax(values[:, known], 0)
        ax.fill_between(steps[known], least, most, color=colour, alpha=0.12, linewidth=0)
        ax.fill_between(steps, low, high, color=colour, alpha=0.3, linewidth=0)
    marker = "o" if len(steps) < 9 else None
    ax.plot(steps, line, dash, color=colour, linewidth=1.5, label=label, marker=marker, ms=4)
