"""How many seeds reach a loss: performance profiles."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrnn.analysis.plots import style
from jaxrnn.analysis.plots.style import colour, dash, save


class Profile(NamedTuple):
    """Of one setting the share of seeds below each number.

    Attributes:
      x: [points], ascending.
      share: [points], 0 to 1.
      low: [points], of the interval.
      high: [points].
    """

    x: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def profile_curves(
    path: Path, profiles: Mapping[str, Profile], *, x_label: str, caption: str = ""
) -> None:
    """Draws performance profiles into a PNG file, each label's interval as a band."""
    from matplotlib.figure import Figure

    rows = -(-len(profiles) // 2)
    figure = Figure(figsize=(5.6, 3.6 + 0.2 * rows), layout="constrained")
    ax = figure.subplots()
    for i, (label, profile) in enumerate(profiles.items()):
        mine = colour(i)
        ax.fill_between(
            profile.x, profile.low, profile.high, step="pre", alpha=0.2, linewidth=0, color=mine
        )
        ax.step(profile.x, profile.share, dash(i), where="pre", lw=1.5, label=label, color=mine)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(x_label)
    ax.set_ylabel("share of seeds below")
    ax.spines[["top", "right"]].set_visible(False)
    columns = style.legend_columns(profiles, float(figure.get_figwidth()), 2, 8.0)
    figure.legend(loc="outside upper center", ncols=columns, fontsize=8, frameon=False)
    style.caption(figure, caption)
    save(figure, path)
