"""Scores of several things on several tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrnn.analysis.plots.style import broken, save


def score_map(
    path: Path, values: np.ndarray, *, rows: Sequence[str], columns: Sequence[str], label: str
) -> None:
    """Draws scores [rows, columns] into a PNG file, each with its number, those of 1 darkest; the
    highest of a row are bold. What is below 0 is as light as 0; what is not finite diverged.

    Args:
      rows: names of the rows, from above.
      columns: names of the columns.
      label: what the numbers are.
    """
    from matplotlib.figure import Figure

    columns, rows = [broken(name, 12) for name in columns], [broken(name, 24) for name in rows]
    lines = max(1 + name.count("\n") for name in columns)
    size = (2.4 + 0.86 * len(columns), 1.2 + 0.13 * lines + 0.42 * len(rows))
    figure = Figure(figsize=(max(size[0], 4.6), max(size[1], 2.4)), layout="constrained")
    ax = figure.subplots()
    known = np.where(np.isfinite(values), values, np.nan)
    ax.set_facecolor("0.93")
    image = ax.imshow(np.ma.masked_invalid(known), cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        best = np.isfinite(value) and round(value, 3) >= round(float(np.nanmax(known[y])), 3)
        ax.text(
            x,
            y,
            f"{value:.3f}" if np.isfinite(value) else "diverged",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if best else "normal",
            color="white" if np.isfinite(value) and value > 0.65 else "black",
        )
    ax.set_xticks(range(len(columns)), columns, fontsize=8, parse_math=False)
    ax.set_yticks(range(len(rows)), rows, fontsize=8, parse_math=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(image, boundaries=np.linspace(0, 1, 101), ticks=np.linspace(0, 1, 6))
    bar.outline.set_visible(False)
    ax.set_title(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    save(figure, path)
