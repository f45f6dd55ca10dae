"""What all figures share: colours, line styles, and how they become a file."""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, told apart by colour-blind readers."""
DASHES = ("-", "--", ":")
"""Of lines: where there are more curves than colours, the colours come again."""
DASHED = 3.5
"""How long a line is in a legend, so that its dashes show beside a mark."""
SHAPES = "os^Dv"
"""Of marks, likewise."""


def colour(i: int) -> str:
    """Of the i-th curve."""
    return COLOURS[i % len(COLOURS)]


def dash(i: int) -> str:
    """Of the i-th curve."""
    return DASHES[i // len(COLOURS) % len(DASHES)]


def shape(i: int) -> str:
    """Of the i-th series of marks."""
    return SHAPES[i // len(COLOURS) % len(SHAPES)]


def caption(figure: Any, text: str) -> None:
    """Small print at the foot of a figure, in lines as wide as it is."""
    if text:
        lines = textwrap.fill(text, int(17 * figure.get_figwidth()))
        figure.supxlabel(lines, fontsize=6.5, color="0.4", linespacing=1.4)


def legend_columns(labels: Iterable[str], width: float, most: int, fontsize: float) -> int:
    """How many columns of labels fit side by side into a `width` in inches: at least one, at most
    `most`."""
    longest = max(map(len, labels), default=0)
    one = 0.6 + longest * fontsize / 120  # the line and the space before it, and the letters
    return max(1, min(most, int(width / one)))


def broken(name: str, width: int) -> str:
    """A name in lines of at most `width` characters, which end behind a bracket, a comma or such
    where there is one."""
    return "\n".join(re.findall(rf".{{1,{width}}}$|.{{1,{width}}}(?<=[_(,=])|.{{1,{width}}}", name))


def save(figure: Any, path: Path, *, bbox: str | None = None) -> None:
    """Writes a figure as a PNG file, whose folder is made; `bbox` "tight" makes it
    as large as what is drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches=bbox)
