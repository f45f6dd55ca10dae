"""Tables that several experiments print."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxrnn.analysis.coverage import interval_note
from jaxrnn.runs.experiment import Table


def written(title: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """A line to a row; a column is how it is written, such as "{loss:.4f}" with the row's loss."""
    lines = [[column.format(**row) for column in columns.values()] for row in rows]
    return Table(title, list(columns), lines)


def epochs_table(title: str, row: Mapping[str, Any]) -> Table:
    """An epoch a line, of a row of `RunLog.row`."""
    return Table(
        f"{title}: nats and bits per symbol; {row['parameters']:,} parameters, "
        f"{row['seconds_per_epoch']:.3g} s per epoch, median of {len(row['seeds'])} seed(s)",
        ["epoch", "train (nats)", "valid (nats)", "valid (bits)", "seconds"],
        [
            [
                epoch["epoch"],
                f"{epoch['train_loss']:.4f}",
                or_dash(epoch["valid_loss"]),
                or_dash(epoch["valid_loss"], 1 / math.log(2)),
                f"{epoch['seconds']:.1f}",
            ]
            for epoch in row["per_epoch"]
        ],
    )


def or_dash(loss: float | None, factor: float = 1.0) -> str:
    """A loss for a table; a dash where there is none."""
    return "-" if loss is None else f"{loss * factor:.4f}"


SPREAD = ("IQM", "interval", "median", "lowest", "highest")
"""Headings of `spread_columns`."""


def spread_columns(spread: Mapping[str, Any]) -> list[str]:
    """Of `median_and_spread` the interquartile mean, its interval, median, lowest and highest."""
    interval = spread["interval"]
    ends = "-" if interval is None else f"[{', '.join(map(_number, interval))}]"
    return [
        _number(spread["iqm"]),
        ends,
        *(_number(spread[key]) for key in ("median", "min", "max")),
    ]


def spread_note(spreads: Iterable[Mapping[str, Any]]) -> str:
    """What the interval in these columns is."""
    note = interval_note([each["seeds"] for each in spreads])
    return f"IQM: interquartile mean; interval: its {note}"


def spread_tables(spreads: Mapping[str, Mapping[str, Any] | None]) -> list[Table]:
    """A line to what has several seeds, by its label; no table where nothing has."""
    several = {name: each for name, each in spreads.items() if each and each["seeds"] > 1}
    if not several:
        return []
    lines = [[name, each["seeds"], *spread_columns(each)] for name, each in several.items()]
    return [Table(f"over seeds; {spread_note(several.values())}", ["", "seeds", *SPREAD], lines)]


def row_spreads(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of rows of `RunLog.row`, for `spread_tables`: the last training loss, and the lowest of
    validation."""
    kinds = {"train": "train_spread", "valid": "valid_spread"}
    return {f"{row['setting']}, {kind}": row[key] for row in rows for kind, key in kinds.items()}


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "diverged"
