"""Loss against copied text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrnn.analysis.plots import COLOURS

FAMILIES = {"unsmoothed": "s", "witten-bell": "o", "network": "D"}
COPIED = "copied_20"


def draw(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draws a panel for each level into a PNG file, with a mark for each model: to the left what
    predicts better, above what copies more. An infinite loss stands at the right edge; the dashed
    line is what the held-out text shares with the training text itself."""
    from matplotlib.figure import Figure

    levels = list(dict.fromkeys(row["level"] for row in rows))
    figure = Figure(figsize=(1 + 4.6 * len(levels), 4.4), layout="constrained")
    axes = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    for ax, level in zip(axes, levels, strict=True):
        _panel(ax, level, [row for row in rows if row["level"] == level])
    axes[0].set_ylabel("share of 20-character stretches copied")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _panel(ax: Any, level: str, rows: Sequence[dict[str, Any]]) -> None:
    drawn = [row for row in rows if row[COPIED] is not None and row["family"] in FAMILIES]
    finite = [row["valid_nats"] for row in drawn if row["valid_nats"] is not None] or [0.0, 1.0]
    margin = 0.08 * (max(finite) - min(finite)) or 0.1
    infinite = max(finite) + 3 * margin
    for colour, (family, shape) in zip(COLOURS, FAMILIES.items(), strict=False):
        mine = [row for row in drawn if row["family"] == family]
        if not mine:
            continue
        x = [infinite if row["valid_nats"] is None else row["valid_nats"] for row in mine]
        y = [row[COPIED] for row in mine]
        line = "-" if family != "network" else ""
        ax.plot(x, y, shape + line, color=colour, label=family, linewidth=0.8, markersize=5)
        for row, *place in zip(mine, x, y, strict=True):
            name = row["model"] if family == "network" else str(row["context"])
            ax.annotate(name, place, (4, 4), textcoords="offset points", fontsize=7, color=colour)
    for row in rows:
        if row["family"] == "text" and row[COPIED] is not None:
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
    if any(row["valid_nats"] is None for row in drawn):
        ax.axvline(infinite - 1.5 * margin, color="0.8", linewidth=0.8)
        ticks = [
            tick for tick in ax.get_xticks() if min(finite) - margin < tick < infinite - margin
        ]
        ax.set_xticks([*ticks, infinite], [*(f"{tick:g}" for tick in ticks), "∞"])
    ax.set_xlim(min(finite) - margin, infinite + margin)
    ax.set_yscale("symlog", linthresh=0.01)
    ax.set_ylim(-0.001, 1.5)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_title(f"{level}s", fontsize=10)
    ax.set_xlabel("held-out loss (nats per character)")
    ax.spines[["top", "right"]].set_visible(False)
