"""Members of runs put together into the settings that are compared."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.analysis.statistics import Interval, RateWindow, bootstrap, iqm, learning_rate_window
from jaxrnn.cell_files import cell_name
from jaxrnn.runs.sweep.directory import is_sweep

Row = Mapping[str, Any]
RATE = "learning_rate"
ELSEWHERE = ("corpus", "cells")
"""Fields that make no setting: the text is the same wherever it lies, and the cell is the row's."""


class Measure(NamedTuple):
    """What is compared: a column of `runs.results`, the one of the log that it is made of, and what
    both are called."""

    column: str
    logged: str
    name: str


VALIDATION = Measure("valid_loss", "valid_loss", "lowest validation loss")
TRAINING = Measure("final_loss", "loss", "training loss over the last tenth")


class Group(NamedTuple):
    """The members of one setting at one learning rate.

    Attributes:
      label: of the setting, without the rate.
      values: the fields that make it, in one order for all groups.
      rate: None where it does not vary.
      rows: of the members.
      losses: [seeds, 1]; infinite where one diverged.
    """

    label: str
    values: dict[str, Any]
    rate: float | None
    rows: list[Row]
    losses: np.ndarray

    @property
    def iqm(self) -> float:
        return float(iqm(self.losses))

    @property
    def interval(self) -> Interval | None:
        """None of a single member."""
        return bootstrap(iqm, self.losses) if len(self.losses) > 1 else None

    @property
    def diverged(self) -> int:
        return int(np.isinf(self.losses).sum())


def measured_by(rows: Sequence[Row]) -> Measure:
    """The validation loss, where there is one.

    Raises:
      ValueError: only some runs have it.
    """
    without = [row["run"] for row in rows if row["valid_loss"] is None and not row["diverged"]]
    if not any(row["valid_loss"] is not None for row in rows):
        return TRAINING
    if without:
        raise ValueError(f"{without[0]} has no validation loss yet, and others have; train it on")
    return VALIDATION


def grouped(
    rows: Sequence[Row], measure: Measure, fields: Iterable[str], by: Sequence[str]
) -> list[Group]:
    """The rows as groups, in the order in which their settings come first, by ascending rate.

    Args:
      fields: of the configs.
      by: those that make a setting; all that differ, but for the rate, where none is given.

    Raises:
      ValueError: a field that no config has.
    """
    known = [name for name in dict.fromkeys(fields) if name not in ELSEWHERE]
    if unknown := [name for name in by if name not in known]:
        raise ValueError(f"--by {unknown[0]} is no field of the runs; known: {', '.join(known)}")
    varied = [name for name in known if len({str(row.get(name)) for row in rows}) > 1]
    by_rate = RATE in varied
    names = [name for name in by or varied if name != RATE]
    if not by:
        rows = [{**row, "sweep": _sweep_of(row["run"])} for row in rows]
        # what the config does not tell apart is another setting, another sweep, or another run
        for further in ("setting", "sweep", "run"):
            if _holds_a_seed_twice(rows, names) and _tells_apart(rows, names, further):
                names.append(further)
    places: dict[tuple, list[Row]] = {}
    for row in rows:
        key = (*(row.get(name) for name in names), row.get(RATE) if by_rate else None)
        places.setdefault(key, []).append(row)
    order = list(dict.fromkeys(key[:-1] for key in places))
    labels, found = labels_of(names, order), []
    for key in sorted(places, key=lambda key: (order.index(key[:-1]), key[-1] or 0.0)):
        values = dict(zip(names, key[:-1], strict=True))
        losses = np.array([_loss(row, measure) for row in places[key]])[:, None]
        label = labels[key[:-1]] or str(places[key][0]["setting"])
        found.append(Group(label, values, key[-1], places[key], losses))
    return found


def pooled(groups: Sequence[Group], fields: Iterable[str]) -> list[str]:
    """Fields that differ between the members of one group."""
    own = {RATE, *ELSEWHERE}
    return [
        name
        for name in fields
        if name not in own
        and any(len({str(row.get(name)) for row in group.rows}) > 1 for group in groups)
    ]


def by_setting(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """The groups of each label, by ascending rate."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.label, []).append(group)
    return found


def best_of(groups: Sequence[Group]) -> Group:
    """That of the lowest interquartile mean."""
    return min(groups, key=lambda group: group.iqm)


def window_of(groups: Sequence[Group], tolerance: float) -> RateWindow | None:
    """Of one setting; None where it was trained at one rate, or always diverged."""
    rates = [group.rate for group in groups if group.rate is not None]
    if len(rates) < 2:
        return None
    return learning_rate_window(rates, [group.iqm for group in groups], tolerance=tolerance)


def labels_of(names: Sequence[str], places: Iterable[tuple]) -> dict[tuple, str]:
    """A label for the values of each place, none like another: numbers that round to the same, and
    files of the same name, are said in full."""
    short = {place: ", ".join(map(said, names, place)) for place in places}
    often = Counter(short.values())
    return {
        place: label if often[label] < 2 else ", ".join(map(_in_full, names, place))
        for place, label in short.items()
    }


def said(name: str, value: Any) -> str:
    """A field and its value, for a label: what says by itself what it is goes without its name."""
    if name in ("run", "sweep"):
        return f"run {Path(str(value)).name}"
    if isinstance(value, str) and name in ("cell", "setting", "experiment", "estimator"):
        return cell_name(value) if name == "cell" else value
    number = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {number}"


def _in_full(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {value}"


def _sweep_of(run: str) -> str:
    """The sweep that a run is of; the run itself where it is of none."""
    parent = Path(run).parent
    return str(parent) if is_sweep(parent) else run


def _loss(row: Row, measure: Measure) -> float:
    value = row[measure.column]
    return np.inf if row["diverged"] or value is None else float(value)


def _holds_a_seed_twice(rows: Sequence[Row], names: Sequence[str]) -> bool:
    places = [(*(str(row.get(name)) for name in (*names, RATE)), row["seed"]) for row in rows]
    return len(set(places)) < len(places)


def _tells_apart(rows: Sequence[Row], names: Sequence[str], further: str) -> bool:
    places = [tuple(str(row.get(name)) for name in (*names, further)) for row in rows]
    return len(set(places)) > len({place[:-1] for place in places})
