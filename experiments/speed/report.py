"""From what was measured to rows, tables and a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.speed.compiling import GROWTH
from experiments.speed.measuring import Case, Measured
from jaxrnn.analysis.plots import ratio_chart
from jaxrnn.runs.report import print_table

Row = dict[str, Any]
Numbers = dict[str, dict[str, Any]]


def numbers_of(case: Case, found: Measured, rate: float) -> Numbers:
    """Of each side that was timed: median and middle half of the milliseconds, and what goes with
    them. `rate` is the machine's limit in operations per second."""
    numbers = {}
    for side in case.sides:
        if side.name not in found.times:
            continue
        times = found.times[side.name]
        low, median, high = (float(value) for value in np.percentile(times, [25, 50, 75]))
        numbers[side.name] = {
            "ms": median,
            "spread": [low, high],
            "turns": len(times),
            "devices": side.devices,
            "of_limit": case.flops and case.flops / (median / 1e3) / rate,
            "per_second": case.makes and 1e3 * case.makes / median,
            "bytes": side.temporary_bytes,
            "resident_bytes": found.resident.get(side.name),
        }
    return numbers


def reasons_of(case: Case, found: Measured) -> dict[str, str]:
    """Why a side was not timed."""
    wrong = {name: f"computes something else: {where}" for name, where in found.wrong.items()}
    return case.missing | wrong


def rows_of(case: Case, numbers: Numbers, reasons: dict[str, str]) -> list[Row]:
    """A row for each side but ours. "ratio" is the side's median over ours, so above 1 ours is
    faster; where one of the two is missing it is None, and "missing" says why."""
    ours, rows = numbers.get(case.ours), []
    for name in [*(side.name for side in case.sides), *case.missing]:
        if name == case.ours:
            continue
        theirs = numbers.get(name)
        row: Row = {
            "case": case.name,
            "peer": name,
            "shape": case.shape,
            "ratio": theirs["ms"] / ours["ms"] if ours and theirs else None,
            "ours_ms": ours and ours["ms"],
            "peer_ms": theirs and theirs["ms"],
        }
        for whose, found in (("ours", ours), ("peer", theirs)):
            for key, value in (found or {}).items():
                if value is not None:
                    row[f"{whose}_{key}"] = value
        if why := reasons.get(name) or reasons.get(case.ours):
            row["missing"] = why
        rows.append(row)
    return rows


def print_case(case: Case, numbers: Numbers, reasons: dict[str, str]) -> None:
    """The table of one case, ours first."""
    ours, lines = numbers.get(case.ours), []
    for name, found in numbers.items():
        low, high = found["spread"]
        lines.append(
            [
                name,
                f"{found['ms']:.4g}",
                f"{low:.4g} to {high:.4g}",
                f"{found['ms'] / ours['ms']:.2f}" if ours else "-",
                _shown(found["of_limit"], "{:.0%}"),
                _shown(found["per_second"], "{:,.0f}"),
                _shown(found["bytes"], "{:,.1f}", 1e-6),
                _shown(found["resident_bytes"], "{:,.0f}", 1e-6),
            ]
        )
    columns = ["", "median (ms)", "middle half (ms)", "ratio", "of limit", "per second"]
    columns += ["temporary (MB)", "resident (MB)"]
    blank = {"-"}
    used = [k for k in range(len(columns)) if k < 4 or {line[k] for line in lines} - blank]
    print_table(
        [columns[k] for k in used],
        [[line[k] for k in used] for line in lines],
        title=f"{case.name}, {case.shape}",
    )
    for name, why in reasons.items():
        print(f"{name}: missing, {why}")


def _shown(value: float | None, form: str, scale: float = 1) -> str:
    return "-" if value is None else form.format(scale * value)


def plot_ratios(path: Path, rows: Sequence[Row]) -> None:
    """Every ratio, a line for each case and shape."""
    ratios: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["ratio"] is not None and row["case"] != GROWTH:
            ratios.setdefault(f"{row['case']}, {row['shape']}", {})[row["peer"]] = row["ratio"]
    ratio_chart(path, ratios, label="peer's median / ours: to the right of 1, ours is faster")
