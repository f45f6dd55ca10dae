"""Loss against copied text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrnn.analysis.plots import COLOURS, SHAPES

COUNTED = ("unsmoothed", "witten-bell")
"""Families that are one series each, a mark for a context; a network is one by itself."""
COPIED = "copied_20"
LOOK = {"linewidth": 0.8, "markersize": 5.5, "alpha": 0.85}


def draw(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draws a panel for each level into a PNG file, with a mark for each model: to the left what
    predicts better, above what copies more. An infinite loss stands at the right edge; the dashed
    line is what the held-out text shares with the training text itself."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    levels = list(dict.fromkeys(row["level"] for row in rows))
    drawn = [row for row in rows if row["family"] != "text" and row[COPIED] is not None]
    series = dict.fromkeys(map(_series, drawn))
    looks = {
        name: {"color": COLOURS[i % len(COLOURS)], "marker": SHAPES[i % len(SHAPES)], **LOOK}
        for i, name in enumerate(series)
    }
    figure = Figure(figsize=(1 + 4.6 * len(levels), 4.4), layout="constrained")
    axes = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    for ax, level in zip(axes, levels, strict=True):
        _panel(ax, [row for row in drawn if row["level"] == level], looks)
        for row in rows:
            if row["family"] == "text" and row["level"] == level:
                _held_out(ax, row)
        ax.set_title(f"{level}s", fontsize=10)
    axes[0].set_ylabel("share of 20-character stretches copied")
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _series(row: dict[str, Any]) -> str:
    return row["family"] if row["family"] in COUNTED else row["model"]


def _panel(ax: Any, rows: Sequence[dict[str, Any]], looks: dict[str, dict[str, Any]]) -> None:
    finite = [row["valid_nats"] for row in rows if row["valid_nats"] is not None] or [0.0, 1.0]
    margin = 0.08 * (max(finite) - min(finite)) or 0.1
    infinite = max(finite) + 3 * margin
    for name, look in looks.items():
        mine = [row for row in rows if _series(row) == name]
        if not mine:
            continue
        x = [infinite if row["valid_nats"] is None else row["valid_nats"] for row in mine]
        y = [row[COPIED] for row in mine]
        ax.plot(x, y, **look)
        for row, *place in zip(mine, x, y, strict=True):
            if row["family"] in COUNTED:
                ax.annotate(
                    str(row["context"]),
                    place,
                    (5, 3),
                    textcoords="offset points",
                    fontsize=7,
                    color=look["color"],
                )
    if any(row["valid_nats"] is None for row in rows):
        ax.axvline(infinite - 1.5 * margin, color="0.8", linewidth=0.8)
        ticks = [at for at in ax.get_xticks() if min(finite) - margin < at < infinite - margin]
        ax.set_xticks([*ticks, infinite], [*(f"{tick:g}" for tick in ticks), "∞"])
    ax.set_xlim(min(finite) - margin, infinite + margin)
    ax.set_yscale("symlog", linthresh=0.01)
    ax.set_ylim(-0.001, 1.5)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("held-out loss (nats per character)")
    ax.spines[["top", "right"]].set_visible(False)


def _held_out(ax: Any, row: dict[str, Any]) -> None:
    if row[COPIED] is None:  # shorter than a stretch
        return
    ax.axhline(row[COPIED], color="0.45", linewidth=0.8, linestyle="--")
    ax.annotate(
        row["model"],
        (0, row[COPIED]),
        (2, 2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=7,
        color="0.3",
    )
