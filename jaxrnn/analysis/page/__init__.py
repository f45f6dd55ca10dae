"""One HTML page to explore what a model does with a text: no network, no server, no framework.

`reading` works out the arrays, `packing` makes them small, `symbols` says how a character looks
that cannot be seen, and this file puts all into one page. The page itself is `template.html`, its
`page.css` and the scripts, which are written into it; `head.html`, `base.css` and `sheet` are those
of all pages of this library. Text comes from users: the template escapes
what goes into HTML, JSON goes in with `<`, `>`, `&` and all beyond ASCII escaped, and the page's
own policy lets nothing run but the scripts in it and nothing be fetched.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.analysis.page.packing import packed, packed_rows, packed_units
from jaxrnn.analysis.page.reading import Predictions, most_varied
from jaxrnn.analysis.page.sheet import rendered
from jaxrnn.analysis.page.symbols import Symbol, describe

SCRIPTS = (
    *("colour.js", "model.js", "features.js", "chart.js"),
    *("pane.js", "inspector.js", "finder.js", "units.js", "main.js"),
)

MOST_BYTES = 7_300_000
"""Of arrays in one page: in base64, with the page itself, less than 10 MB."""


class Curve(NamedTuple):
    """A line of a chart.

    Attributes:
      label: in the legend.
      x: [n]
      y: [n]; what is not finite is left out.
    """

    label: str
    x: np.ndarray
    y: np.ndarray


class Chart(NamedTuple):
    """Axes with their curves.

    Attributes:
      title: a question or what is shown, in words.
      x_label: with the unit.
      y_label: with the unit.
      curves: at least one.
      logarithmic: whether the y axis is.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    logarithmic: bool = False


class Reading(NamedTuple):
    """What one model did with a text of N symbols; arrays of numpy.

    Attributes:
      name: of the run, for headings.
      facts: label to value, shown under the heading.
      symbols: [N], of the text as the model divides it.
      unknown: those of them that its vocabulary does not have.
      vocabulary: every symbol by its id.
      predictions: of all symbols but the first.
      connectivity: {"square_root", "squared"}, each [N - 1, L] by lag.
      memory: of each measure, label to [N - 1]: mean lag and half-life, in symbols.
      units: name to [N, U].
      charts: further curves.
    """

    name: str
    facts: dict[str, str]
    symbols: Sequence[str]
    unknown: Sequence[str]
    vocabulary: Sequence[str]
    predictions: Predictions
    connectivity: dict[str, np.ndarray]
    memory: dict[str, dict[str, np.ndarray]]
    units: dict[str, np.ndarray]
    charts: Sequence[Chart]


def render_page(title: str, level: str, readings: Sequence[Reading]) -> str:
    """The page of one reading, or of two of the same text side by side.

    Raises:
      ValueError: no reading or more than two, or readings of different texts.
    """
    if not 1 <= len(readings) <= 2:
        raise ValueError(f"readings has {len(readings)}; give one, or two to compare")
    if len({tuple(reading.symbols) for reading in readings}) > 1:
        raise ValueError("readings are of different texts; give two of the same")
    here = files(__name__)
    script = "\n".join((here / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n{{\n{script}}}\n'
    return rendered(
        (here / "template.html").read_text(encoding="utf-8"),
        (here / "page.css").read_text(encoding="utf-8"),
        title,
        script,
        level=level,
        readings=readings,
        data={
            "level": level,
            "runs": [_described(reading, len(readings)) for reading in readings],
        },
    )


def units_kept(reading: Reading, sharing: int = 1) -> dict[str, np.ndarray]:
    """The numbers of the units, by name, that a page has room for, where it has `sharing` runs; a
    value is a byte."""
    lags = sum(rows.shape[1] for rows in reading.connectivity.values())
    # tokens, losses, ranks, largest connectivity and memory, and the likeliest symbols
    rest = 40 + 8 * reading.predictions.likeliest.shape[1]
    return most_varied(
        reading.units, max(1, MOST_BYTES // sharing // len(reading.symbols) - lags - rest)
    )


def _described(reading: Reading, sharing: int) -> dict[str, Any]:
    """A reading as plain JSON; arrays as base64."""
    table: dict[Symbol, int] = {}
    unknown = set(reading.unknown)

    def place(symbol: str) -> int:
        return table.setdefault(describe(symbol, unknown=symbol in unknown), len(table))

    tokens = [place(symbol) for symbol in reading.symbols]
    guesses = reading.predictions.likeliest
    places = {int(i): place(reading.vocabulary[int(i)]) for i in np.unique(guesses)}
    likeliest = np.vectorize(places.__getitem__, otypes=[np.int64])(guesses)
    kept = units_kept(reading, sharing)
    predictions = reading.predictions
    return {
        "name": reading.name,
        "symbols": [symbol._asdict() for symbol in table],
        "tokens": packed(np.array(tokens), "<u4"),
        "vocabulary": len(reading.vocabulary),
        "loss": packed(predictions.loss, "<f4"),
        "entropy": packed(predictions.entropy, "<f4"),
        "rank": packed(predictions.rank, "<u4"),
        "likeliest": packed(likeliest, "<u4"),
        "probability": packed(predictions.probability, "<f4"),
        "most": guesses.shape[1],
        "measures": {
            name: {
                **packed_rows(rows),
                "lags": rows.shape[1],
                "memory": {
                    label: packed(values, "<f4") for label, values in reading.memory[name].items()
                },
            }
            for name, rows in reading.connectivity.items()
        },
        "units": [
            {"name": name, "numbers": kept[name].tolist(), **packed_units(array[:, kept[name]])}
            for name, array in reading.units.items()
        ],
        "charts": [
            {
                **chart._asdict(),
                "curves": [
                    {"label": curve.label, "points": _points(curve)} for curve in chart.curves
                ],
            }
            for chart in reading.charts
        ],
    }


def _points(curve: Curve) -> list[list[float]]:
    rows = np.stack([np.asarray(curve.x, float), np.asarray(curve.y, float)], axis=1)
    return [[float(f"{n:.6g}") for n in row] for row in rows[np.isfinite(rows).all(1)]]


def write_page(path: Path, title: str, level: str, readings: Sequence[Reading]) -> int:
    """Writes `render_page` into a file; returns its size in bytes."""
    data = render_page(title, level, readings).encode("utf-8", "surrogatepass")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data)
