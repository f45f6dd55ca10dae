"""Figures for papers, from the arrays of a page."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from experiments.inspect.config import Config
from experiments.inspect.reading import share_of
from jaxrnn.analysis.page import Reading
from jaxrnn.analysis.page.figure import text_block
from jaxrnn.analysis.page.symbols import describe
from jaxrnn.analysis.plots import TextRow, decay_chart, scaled, text_rows

ROWS = 8  # predictions of one figure
WIDE = 64  # symbols before a prediction
WORDS = 10  # or words before it
LONG = 1200  # symbols of a text in the colours of a unit


def check_figures(config: Config, reading: Reading) -> None:
    """Raises:
    ValueError: a place outside the text, or its first symbol, which nothing predicts; a unit
      that is not there."""
    count = len(reading.symbols)
    for at in config.at:
        if not 1 <= at < count:
            raise ValueError(f"--at is {at}; give symbols from 1 to {count - 1}")
    for unit in config.draw:
        _unit(reading, unit)


def figures(ending: str, config: Config, reading: Reading) -> dict[str, Callable[[Path], None]]:
    """What draws each PNG file, by its name: connectivity at some places in both measures and by
    lag, and the text in the colours of its surprise and of the units asked for."""
    found: dict[str, Callable[[Path], None]] = {}
    places, part = _places(config, reading), _part(config, reading)
    for name, by_lag in reading.connectivity.items():
        given = {"reading": reading, "places": places, "by_lag": by_lag}
        found[f"connectivity_{name}"] = partial(_draw_connectivity, **given)
    surprise = np.concatenate([[np.nan], reading.predictions.loss])
    texts = {"surprise": (surprise, "loss (nats)")}
    texts |= {re.sub(r"\W+", "_", unit): (_unit(reading, unit), unit) for unit in config.draw}
    for name, (values, label) in texts.items():
        given = {"symbols": reading.symbols[part], "values": values[part], "label": label}
        found[name] = partial(text_block, **given)
    means = {name: by_lag.mean(0) for name, by_lag in reading.connectivity.items()}
    shares = {name: share_of(mean)[None] for name, mean in means.items()}
    labels = {"x_label": "symbols back", "y_label": "share of all connectivity"}
    found["by_lag"] = partial(decay_chart, curves=shares, **labels)
    return {f"inspect_{name}{ending}": draw for name, draw in found.items()}


def _places(config: Config, reading: Reading) -> list[int]:
    count = len(reading.symbols)
    even = np.linspace(min(WIDE, count - 1), count - 1, ROWS)
    return list(config.at) or np.unique(even.astype(int)).tolist()


def _part(config: Config, reading: Reading) -> slice:
    """What a figure of the text has room for: around the first place asked for, or the start."""
    first = max(0, config.at[0] - LONG // 2) if config.at else 0
    return slice(first, min(first + LONG, len(reading.symbols)))


def _draw_connectivity(path: Path, reading: Reading, places: list[int], by_lag: np.ndarray) -> None:
    """A row for each place: of characters in columns, of words as they are."""
    if max(map(len, reading.vocabulary)) == 1:
        text_rows(path, [_row(reading, at, by_lag) for at in places])
        return
    symbols, values = [], []
    for at in places:
        wide = min(WORDS, at, by_lag.shape[1])
        symbols += [*reading.symbols[at - wide : at], "→", reading.symbols[at], "\n"]
        values += [*scaled(by_lag[at - 1, :wide][::-1]), np.nan, np.nan, np.nan]
    text_block(path, symbols, np.array(values), label="connectivity / largest")


def _row(reading: Reading, at: int, by_lag: np.ndarray) -> TextRow:
    wide = min(WIDE, at, by_lag.shape[1])
    marks = [_single(symbol) for symbol in reading.symbols[at - wide : at + 1]]
    values = scaled(by_lag[at - 1, :wide][::-1])
    return TextRow(f"{at} → {marks[-1]}", "".join(marks[:-1]), values)


def _single(symbol: str) -> str:
    """One column for each symbol."""
    found = describe(symbol)
    return "·" if found.kind == "mark" else found.shown[0]


def _unit(reading: Reading, unit: str) -> np.ndarray:
    """The values [N] of a unit by its name on the page, "layer_2/h 26"."""
    layer, _, number = unit.rpartition(" ")
    if layer not in reading.units:
        raise ValueError(
            f'--draw is {unit!r}; give a layer and a number, such as "'
            f'{next(iter(reading.units))} 0"; the layers are {", ".join(reading.units)}'
        )
    values = reading.units[layer]
    if not number.isdecimal() or int(number) >= values.shape[1]:
        raise ValueError(f"--draw is {unit!r}; {layer} has units 0 to {values.shape[1] - 1}")
    return values[:, int(number)]
