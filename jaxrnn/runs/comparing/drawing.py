"""The plots of a comparison."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

from jaxrnn.analysis.coverage import interval_note
from jaxrnn.analysis.plots import (
    Band,
    Panel,
    heat_map,
    learning_curves,
    profile_curves,
    rate_curves,
)
from jaxrnn.runs.comparing.groups import (
    RATE,
    Group,
    Measure,
    best_of,
    by_setting,
    labels_of,
    said,
    window_of,
)
from jaxrnn.runs.comparing.profiles import profiled, profiles
from jaxrnn.runs.frame import metrics_rows

MOST = 10
"""Curves in a plot; of more settings the best are drawn."""


def plots(
    groups: Sequence[Group], measure: Measure, tolerance: float
) -> dict[str, Callable[[Path], None]]:
    """By name: curves and profiles, each setting at its best rate; losses over rates; losses over
    two fields."""
    settings = by_setting(groups)
    ranked = sorted(settings, key=lambda label: best_of(settings[label]).iqm)
    chosen = {label: each for label, each in settings.items() if label in ranked[:MOST]}
    of_all = f", the best {MOST} of {len(settings)}" if len(settings) > MOST else ""
    found: dict[str, Callable[[Path], None]] = {}
    if curves := _curves(chosen, measure):
        title = measure.name.replace("lowest ", "").replace(" over the last tenth", "")
        panel = Panel(f"{title}{of_all}", curves, {})
        found["curves"] = partial(learning_curves, panels=[panel], y_label=f"{title} (nats)")
    note = interval_note(len(group.losses) for group in groups)
    bands = {n: _band(each, tolerance) for n, each in chosen.items() if len(each) > 1}
    if bands:
        said_so = (
            f"line: interquartile mean over seeds; band: its {note}; bar below: rates whose mean "
            f"is at most {100 * tolerance:g} % above the best{of_all}; cross: diverged"
        )
        y_label = f"{measure.name} (nats)"
        found["learning_rates"] = partial(
            rate_curves, bands=bands, y_label=y_label, caption=said_so
        )
    if shown := profiled([group for each in chosen.values() for group in each]):
        found["profiles"] = partial(
            profile_curves,
            profiles=profiles(shown),
            x_label=f"{measure.name} (nats)",
            caption=f"line: share of the seeds whose loss is below; band: its {note}{of_all}",
        )
    fields = [*groups[0].values, *([RATE] if groups[0].rate is not None else [])]
    if len(fields) == 2:
        found["map"] = partial(_map, groups=groups, fields=fields, measure=measure)
    return found


def _curves(settings: Mapping[str, Sequence[Group]], measure: Measure) -> dict[str, Any]:
    """Of each setting the logged losses of its members at its best rate, at the steps that all of
    them have."""
    found, logs = {}, {}
    for label, each in settings.items():
        best = best_of(each)
        name = label if len(each) < 2 else f"{label}, {said(RATE, best.rate)}"
        seeds = []
        for row in best.rows:
            if row["run"] not in logs:
                logs[row["run"]] = list(metrics_rows(Path(row["run"])))
            mine = [
                (line["step"], line[measure.logged])
                for line in logs[row["run"]]
                if (line["setting"], line["seed"]) == (row["setting"], row["seed"])
                and measure.logged in line
            ]
            seeds.append(np.array(mine, float).reshape(-1, 2))
        steps = reduce(np.intersect1d, [rows[:, 0] for rows in seeds])
        if len(steps):
            found[name] = [rows[np.isin(rows[:, 0], steps)] for rows in seeds]
    return found


def _band(groups: Sequence[Group], tolerance: float) -> Band:
    window = window_of(groups, tolerance)
    intervals = [group.interval for group in groups]
    low, high = (
        np.array([np.nan if each is None else float(each[end]) for each in intervals])
        for end in (1, 2)
    )
    return Band(
        np.array([group.rate for group in groups], float),
        np.array([group.iqm for group in groups]),
        low,
        high,
        None if window is None else (window.low, window.high),
    )


def _map(path: Path, groups: Sequence[Group], fields: Sequence[str], measure: Measure) -> None:
    places = {
        tuple(value for value in (*group.values.values(), group.rate)[:2]): group.iqm
        for group in groups
    }
    down, across = (_sorted(list(dict.fromkeys(place[i] for place in places))) for i in (0, 1))
    values = np.array([[places.get((row, column), np.nan) for column in across] for row in down])
    shown = [_short(name, every) for name, every in zip(fields, (down, across), strict=True)]
    heat_map(
        path,
        values,
        rows=shown[0],
        columns=shown[1],
        row_label=fields[0].replace("_", " "),
        column_label=fields[1].replace("_", " "),
        label=f"{measure.name} (nats)",
        caption="interquartile mean over seeds; framed: the lowest; -: not trained",
    )


def _sorted(values: list[Any]) -> list[Any]:
    numbers = all(isinstance(value, int | float) for value in values)
    return sorted(values) if numbers else values


def _short(name: str, values: Sequence[Any]) -> list[str]:
    labels = labels_of([name], [(value,) for value in values]).values()
    return [label.removeprefix(name.replace("_", " ")).strip() for label in labels]
