"""Texts on the colours of numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrnn.analysis.plots.style import save


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
    save(figure, path)
