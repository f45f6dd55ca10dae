"""What a sweep found: loss over the learning rate, and over two fields."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.analysis.plots import style
from jaxrnn.analysis.plots.style import colour, dash, save


class Band(NamedTuple):
    """A setting's loss over what varies; a loss that is not finite diverged.

    Attributes:
      x: [points], ascending.
      value: [points].
      low: [points], of the interval; NaN where there is none.
      high: [points].
      window: the lowest and the highest x of which a line below says that it is about as good as
        the best, None without.
    """

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    window: tuple[float, float] | None = None


def rate_curves(
    path: Path,
    bands: Mapping[str, Band],
    *,
    y_label: str,
    x_label: str = "learning rate",
    caption: str = "",
) -> None:
    """Draws losses over learning rates into a PNG file, each label's interval as a band and its
    window as a line below; what diverged is a cross above."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    rows = -(-len(bands) // 2)
    figure = Figure(figsize=(5.6, 3.9 + 0.2 * rows), layout="constrained")
    ax = figure.subplots()
    low, high = _limits(bands)
    # one rate that is far off must not flatten the rest
    ax.set_yscale("log" if 0 < 2.5 * low < high else "linear")
    scale = ax.yaxis.get_transform()
    bottom, top = scale.transform(np.array([low, high]))
    room = (top - bottom) * np.array([-0.08 - 0.05 * len(bands), 0.1])
    ends = scale.inverted().transform(np.array([bottom, top]) + room)
    for i, (label, band) in enumerate(bands.items()):
        known, mine = np.isfinite(band.value), colour(i)
        value, least = (np.where(np.isfinite(each), each, np.nan) for each in band[1:3])
        # an interval that reaches a diverged seed has no upper end to draw
        most = np.where(np.isposinf(band.high) & known, 2 * ends[1], band.high)
        most = np.where(np.isfinite(most), most, np.nan)
        ax.fill_between(band.x, least, most, alpha=0.2, linewidth=0, color=mine)
        ax.plot(band.x, value, dash(i) + "o", ms=4, lw=1.5, label=label, color=mine)
        beside: Any = {"transform": ax.get_xaxis_transform(), "color": mine}
        lost = band.x[~known]
        ax.plot(lost, np.full(len(lost), 0.97 - 0.045 * i), "x", ms=6, mew=1.6, **beside)
        if band.window is not None:
            ax.plot(band.window, [0.03 + 0.045 * i] * 2, "|-", ms=7, mew=2, lw=2.2, **beside)
    ax.set_xscale("log")
    every = np.unique(np.concatenate([band.x for band in bands.values()]))
    decades = np.log10(every[-1] / every[0])
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1, 3)))
    if len(every) < 5:  # room for each of them
        ax.set_xticks(every)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    if ax.get_yscale() == "log":
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylim(*ends)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.spines[["top", "right"]].set_visible(False)
    if len(bands) > 1:
        columns = style.legend_columns(bands, float(figure.get_figwidth()), 2, 8.0)
        figure.legend(loc="outside upper center", ncols=columns, fontsize=8, frameon=False)
    style.caption(figure, caption)
    save(figure, path)


def heat_map(
    path: Path,
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_label: str,
    column_label: str,
    label: str,
    caption: str = "",
) -> None:
    """Draws losses [rows, columns] into a PNG file, lower ones lighter, each with its number; the
    lowest is framed. NaN was not trained, infinite diverged.

    Args:
      rows: names of the rows, from above.
      columns: names of the columns.
      row_label: what varies from row to row.
      column_label: what varies from column to column.
      label: what the numbers are.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    size = (2.6 + 0.78 * len(columns), 1.5 + 0.42 * len(rows))
    figure = Figure(figsize=(max(size[0], 4.6), max(size[1], 2.6)), layout="constrained")
    ax = figure.subplots()
    finite = np.where(np.isfinite(values), values, np.nan)
    known = values[np.isfinite(values)]
    least, most = known.min(initial=np.inf), known.max(initial=-np.inf)
    ax.set_facecolor("0.93")
    image = ax.imshow(np.ma.masked_invalid(finite), cmap="viridis_r", aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = f"{value:.3f}" if np.isfinite(value) else "-" if np.isnan(value) else "diverged"
        dark = np.isfinite(value) and value > least + 0.55 * (most - least)
        ink = "white" if dark else "black"
        ax.text(x, y, text, ha="center", va="center", fontsize=7.5, color=ink)
    if len(known):
        y, x = np.unravel_index(np.nanargmin(finite), values.shape)
        frame = Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=2.4)
        ax.add_patch(frame).set_clip_on(False)
    ax.set_xticks(range(len(columns)), columns, fontsize=8, parse_math=False)
    ax.set_yticks(range(len(rows)), rows, fontsize=8, parse_math=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(column_label)
    ax.set_ylabel(row_label)
    figure.colorbar(image, label=label).outline.set_visible(False)
    style.caption(figure, caption)
    save(figure, path)


def _limits(bands: Mapping[str, Band]) -> tuple[float, float]:
    """Room for all losses and intervals."""
    values = np.concatenate([band.value for band in bands.values()])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    ends = [each[np.isfinite(each)] for band in bands.values() for each in (band.low, band.high)]
    every = np.concatenate([values, *ends])
    low, high = float(every.min()), float(every.max())
    return low, high if high > low else low + (0.1 * abs(low) or 0.1)
