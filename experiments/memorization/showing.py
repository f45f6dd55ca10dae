"""A table of what trained models do, and their pictures."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.memorization.config import Config, Text
from experiments.memorization.seeing import Seen, memory_of, places_in, see, shown_in
from experiments.memorization.weights import Trained
from jaxrnn.analysis.arrays import write_arrays
from jaxrnn.analysis.plots import Panel, TextRow, learning_curves, scaled, text_rows
from jaxrnn.models import count_parameters
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import writing
from jaxrnn.runs.report import print_table
from jaxrnn.runs.summary import curves, median_and_spread


def setting_of(cell: str) -> str:
    """A name for files and a setting, also of path/to/file.py:factory."""
    return cell.rpartition(":")[2]


def show(config: Config, models: Iterable[Trained], text: Text, out: Path) -> list[dict[str, Any]]:
    """Measures every model and prints a table; pictures and arrays of the first seed of each cell
    go below `out`. Models of a cell come together."""
    rows = []
    for name, group in groupby(models, lambda model: model.name):
        several = list(group)
        measure = jax.jit(
            lambda params, cell=several[0].cell: see(cell, params, text.tokens, config.window)
        )
        found = [jax.device_get(measure(model.params)) for model in several]
        rows += [
            _row(config, text, model, seen) for model, seen in zip(several, found, strict=True)
        ]
        _write(config, out, setting_of(name), found[0], text.characters)
    _print(rows)
    return rows


def _row(config: Config, text: Text, model: Trained, seen: Seen) -> dict[str, Any]:
    return {
        "cell": model.name,
        "seed": model.seed,
        "loss": float(seen.loss),
        "accuracy": float(seen.accuracy),
        "parameters": count_parameters(model.params),
        **memory_of(seen.connectivity, len(text.characters) - config.window),
    }


def _write(config: Config, out: Path, name: str, seen: Seen, text: str) -> None:
    window, count = config.window, len(text) - config.window
    rows = [
        TextRow(
            f"{place} → {text[place + window]}",
            text[place : place + window],
            scaled(np.asarray(by_lag)[::-1]),
        )
        for place, by_lag in zip(places_in(count), seen.connectivity, strict=True)
    ]
    # a value stands under the character that its window ends with; in the notebook under the next
    shown = shown_in(count)
    read = text[shown.start + window - 1 : shown.stop + window - 1]
    units = [
        TextRow(f"{leaf}² {unit}", read, scaled(np.asarray(values)))
        for leaf, squares in seen.activations.items()
        for unit, values in enumerate(squares.T)
    ]
    for kind, drawn in (("connectivity", rows), ("activations", units)):
        path = out / "plots" / f"{kind}_{name}.png"
        with writing(path):
            text_rows(path, drawn)
        print(f"plot {path}")
    arrays = out / f"{name}.npz"
    with writing(arrays):
        write_arrays(arrays, {"connectivity": seen.connectivity, "activations": seen.activations})
    print(f"arrays {arrays}")


def plot_losses(
    config: Config, directory: RunDirectory, names: Sequence[str], lines: dict[str, float]
) -> None:
    """The loss of every epoch of a run, of each setting the median over seeds, until the last of
    them has ended."""
    drawn: dict[str, Sequence[np.ndarray]] = {}
    for name in names:
        phases = curves(directory, name, "phase").values()
        count = max((rows[:, 1] < len(config.most_epochs)).sum() for rows in phases)
        drawn[name] = [rows[:count] for rows in curves(directory, name, "loss").values()]
    path = directory.plots / "learning_curves.png"
    panel = Panel("", drawn, lines, "epoch, the phases one after another")
    with writing(path):
        learning_curves(path, [panel], y_label="loss (nats per character)")
    print(f"plot {path}")


def _print(results: Sequence[dict[str, Any]]) -> None:
    columns = ("loss", "accuracy", "mean_lag", "half_life", "share_beyond_16")
    rows = []
    for name in dict.fromkeys(row["cell"] for row in results):
        mine = [row for row in results if row["cell"] == name]
        for column in columns:
            spread = median_and_spread([row[column] for row in mine])
            numbers = (f"{spread[key]:.4f}" for key in ("median", "min", "max"))
            rows.append([name, f"{mine[0]['parameters']:,}", len(mine), column, *numbers])
    print_table(
        ["cell", "parameters", "seeds", "of", "median", "lowest", "highest"],
        rows,
        title="loss in nats; lags in characters",
    )
