"""PNG files as text for a page, made as small as they are shown."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

SHADES = 128
"""Colours of a picture: plots have few, and the steps between those of an edge are not seen."""


class Picture(NamedTuple):
    """A picture in a page: what stands in `src`, and its size in pixels."""

    data: str
    width: int
    height: int


def packed_picture(path: Path, widest: int) -> Picture:
    """A PNG file as `data:`, at most `widest` pixels wide, on white.

    Raises:
      OSError: there is no picture at `path`.
    """
    from PIL import Image  # as matplotlib does

    with Image.open(path) as opened:
        drawn = opened.convert("RGBA")
    drawn = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    if drawn.width > widest:
        height = max(1, round(drawn.height * widest / drawn.width))
        drawn = drawn.resize((widest, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    few = drawn.quantize(SHADES, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(f"data:image/png;base64,{data}", drawn.width, drawn.height)
