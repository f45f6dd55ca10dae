"""Tables that several experiments print."""

import math
import string
from collections.abc import Iterable, Mapping
from typing import Any

from jaxrnn.analysis.coverage import interval_note
from jaxrnn.runs.experiment import Table


class _Dashed(string.Formatter):
    """Writes a dash for what there is none of, however it would be written."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return "-" if value is None else super().format_field(value, format_spec)


def written(title: str, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """A line to a row; a column is how it is written, such as "{loss:.4f}" with the row's loss, or
    a dash where that is None. `SPREAD_COLUMNS` write the "spread" of a row."""
    lines, write = [], _Dashed().vformat
    for row in rows:
        if spread := row.get("spread"):
            shown = zip(SPREAD, spread_columns(spread), strict=True)
            row = {**row, "spread": {**spread, **dict(shown)}}
        lines.append([write(column, (), row) for column in columns.values()])
    return Table(title, list(columns), lines)


def epochs_table(title: str, row: Mapping[str, Any]) -> Table:
    """An epoch a line, of a row of `RunLog.row`."""
    columns = {"epoch": "{epoch}", "train (nats)": "{train_loss:.4f}"}
    columns |= {"valid (nats)": "{valid_loss:.4f}", "valid (bits)": "{bits:.4f}"}
    epochs = []
    for epoch in row["per_epoch"]:
        loss = epoch["valid_loss"]
        epochs.append(epoch | {"bits": None if loss is None else loss / math.log(2)})
    return written(
        f"{title}: nats and bits per symbol; {row['parameters']:,} parameters, "
        f"{row['seconds_per_epoch']:.3g} s per epoch, median of {len(row['seeds'])} seed(s)",
        epochs,
        columns | {"seconds": "{seconds:.1f}"},
    )


def or_dash(loss: float | None, factor: float = 1.0) -> str:
    """A loss for a table; a dash where there is none."""
    return "-" if loss is None else f"{loss * factor:.4f}"


SPREAD = ("IQM", "interval", "median", "lowest", "highest")
"""Headings of `spread_columns`."""
SPREAD_COLUMNS = {name: f"{{spread[{name}]}}" for name in SPREAD}
"""The same for `written`."""


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
