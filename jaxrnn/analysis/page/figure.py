"""A text in the colours of its values as a figure, in the page's own colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrnn.analysis.page.symbols import describe

COLD, PAPER, WARM = "#79b0e6", "#fffefb", "#f29f3d"


def text_block(
    path: Path, symbols: Sequence[str], values: np.ndarray, *, label: str, columns: int = 80
) -> None:
    """Draws symbols into a PNG file, line by line as they stand in the text, each on the colour of
    its value: warm above 0, cold below.

    Args:
      path: of the file.
      symbols: [n], characters or words.
      values: [n]; where NaN, there is no colour.
      label: of the values, with their unit; beside the colours.
      columns: characters after which a line is broken.
    """
    # matplotlib is imported when a figure is drawn
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    lines = _lines(symbols, values, columns)
    columns = max(map(len, lines))
    grid = np.full((len(lines), columns), np.nan)
    figure = Figure(figsize=(1 + 0.095 * columns, 0.5 + 0.19 * len(lines)), layout="constrained")
    ax = figure.subplots()
    for y, line in enumerate(lines):
        for x, (character, value) in enumerate(line):
            grid[y, x] = value
            ax.text(x, y, character, ha="center", va="center", **_TEXT)
    low, high = np.nanmin(values), np.nanmax(values)
    reach = max(abs(low), abs(high)) or 1.0
    signed = low < 0
    hues = [COLD, PAPER, WARM] if signed else [PAPER, WARM]
    drawn = ax.imshow(
        np.ma.masked_invalid(grid),
        cmap=LinearSegmentedColormap.from_list("cold to warm", hues),
        vmin=-reach if signed else 0,
        vmax=reach,
        aspect="auto",
    )
    ax.set_axis_off()
    figure.colorbar(drawn, ax=ax, label=label, shrink=min(1, 8 / len(lines)), fraction=0.03)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


# a dollar sign is itself, and no formula
_TEXT = {"fontsize": 7, "family": "monospace", "color": "#1d1c1a", "parse_math": False}


def _lines(
    symbols: Sequence[str], values: np.ndarray, columns: int
) -> list[list[tuple[str, float]]]:
    """Characters with their values, in lines of at most `columns`; a space behind each word."""
    lines: list[list[tuple[str, float]]] = [[]]
    words = any(len(symbol) > 1 for symbol in symbols)
    for symbol, value in zip(symbols, values.tolist(), strict=True):
        found = describe(symbol)
        shown = ["·"] if found.kind == "mark" else list(found.shown[:columns])
        if len(lines[-1]) + len(shown) > columns:
            lines.append([])
        lines[-1] += [(character, value) for character in shown]
        if words and len(lines[-1]) < columns:
            lines[-1].append((" ", np.nan))
        if found.kind == "line":
            lines.append([])
    return [line for line in lines if line] or [[]]
