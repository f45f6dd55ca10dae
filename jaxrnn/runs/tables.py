"""Tables that several experiments print."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

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


def spread_columns(spread: Mapping[str, float]) -> list[str]:
    """Median, lowest and highest of `median_and_spread`."""
    return [f"{spread[key]:.4f}" for key in ("median", "min", "max")]
