"""What came of it: scores of each cell on each task, at its best learning rate."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.battery.claims import claims
from experiments.battery.config import Config, names_of, setting_name, task_of
from jaxrnn import runs
from jaxrnn.analysis.plots import Panel, heat_map, learning_curves
from jaxrnn.analysis.statistics import TOLERANCE, RateWindow, iqm, learning_rate_window
from jaxrnn.cell_files import cell_name
from jaxrnn.runs.config import config_of
from jaxrnn.runs.records import read_record
from jaxrnn.tasks import scaled, task_name


class Found(NamedTuple):
    """A cell on a task at one learning rate.

    Attributes:
      task, cell: their names.
      rate: the learning rate.
      parameters: of the model.
      scores: length to the scaled score of each seed, -inf where it diverged.
      losses: of each seed at the first of the lengths.
      seconds: of training and testing.
    """

    task: str
    cell: str
    rate: float
    parameters: int
    scores: dict[int, list[float]]
    losses: list[float]
    seconds: float

    @property
    def score(self) -> float:
        """The interquartile mean at the length of training."""
        return _iqm(self.scores[next(iter(self.scores))])


def report(config: Config, log: runs.RunLog) -> runs.Report:
    """Of one learning rate."""
    return _report(config, found_in(config, log))


def compared(config: Config, logs: Sequence[runs.RunLog], usual: runs.Report) -> runs.Report:
    """Of a sweep: every cell has its own best rate on every task."""
    kept = [config_of(Config, read_record(log.run)["config"]) for log in logs]
    every = [each for own, log in zip(kept, logs, strict=True) for each in found_in(own, log)]
    return _report(kept[0] if kept else config, every)


def found_in(config: Config, log: runs.RunLog) -> list[Found]:
    """What one run came to, in the order of tasks and cells."""
    return [_found(config, log, task, cell) for task in names_of(config) for cell in config.cells]


def _found(config: Config, log: runs.RunLog, name: str, cell: str) -> Found:
    task, setting = task_of(config, name), setting_name(name, cell)
    seeds = [str(seed) for seed in range(config.loop.seeds)]

    def last(field: str, lost: float) -> list[float]:
        """Of each seed; what diverged has `lost`, as what never came so far."""
        lines = log.curves(setting, field)
        values = [float(rows[-1, 1]) for rows in lines.values()]
        values += [lost] * (len(seeds) - len(values))
        return [value if np.isfinite(value) else lost for value in values]

    scores = {
        length: [scaled(task, x, length) for x in last(f"score_{length}", np.nan)]
        for length in task.test_lengths
    }
    scores = {
        length: [x if np.isfinite(x) else -np.inf for x in values]
        for length, values in scores.items()
    }
    return Found(
        task=task_name(name),
        cell=cell_name(cell),
        rate=config.optimizer.learning_rate,
        parameters=log.parameters(setting),
        scores=scores,
        losses=last("valid_loss", np.inf),
        seconds=log.seconds(setting),
    )


def rows_of(every: Sequence[Found]) -> list[dict[str, Any]]:
    """Each cell on each task at its best rate."""
    windows = _windows(every)
    return [_row(found, windows[who]) for who, found in _best(every).items()]


def draws_of(every: Sequence[Found]) -> dict[str, Callable[[Path], None]]:
    """A map of all scores, and for each task the scores over the length."""
    best = _best(every)
    tasks, cells = _names(best)
    draws: dict[str, Callable[[Path], None]] = {
        "battery": partial(_draw_map, best=best, tasks=tasks, cells=cells)
    }
    for task in tasks:
        panel = Panel(task, _lines(best, task, cells), {"chance": 0.0, "all right": 1.0}, "length")
        label = "scaled score, 0 is chance"
        draws[f"lengths_{task}"] = partial(learning_curves, panels=[panel], y_label=label)
    return draws


def _report(config: Config, every: Sequence[Found]) -> runs.Report:
    best = _best(every)
    return runs.Report(
        results=rows_of(every),
        claims=claims(config, {who: (each.scores, each.losses) for who, each in best.items()}),
        tables=[_map_table(best, *_names(best)), _table(best, _windows(every))],
        plots=draws_of(every),
    )


def _grouped(every: Sequence[Found]) -> dict[tuple[str, str], list[Found]]:
    groups: dict[tuple[str, str], list[Found]] = {}
    for each in every:
        groups.setdefault((each.task, each.cell), []).append(each)
    return groups


def _best(every: Sequence[Found]) -> dict[tuple[str, str], Found]:
    return {who: max(some, key=lambda each: each.score) for who, some in _grouped(every).items()}


def _windows(every: Sequence[Found]) -> dict[tuple[str, str], RateWindow | None]:
    return {who: _window(some) for who, some in _grouped(every).items()}


def _names(best: Mapping[tuple[str, str], Found]) -> tuple[list[str], list[str]]:
    tasks, cells = (list(dict.fromkeys(names)) for names in zip(*best, strict=True))
    return tasks, cells


def _row(found: Found, window: RateWindow | None) -> dict[str, Any]:
    spread = {
        length: runs.median_and_spread([-x for x in values])
        for length, values in found.scores.items()
    }
    return found._asdict() | {
        "iqm": {length: -each["iqm"] for length, each in spread.items()},
        "interval": {
            length: each["interval"] and [-x for x in reversed(each["interval"])]
            for length, each in spread.items()
        },
        "window": None if window is None else [window.low, window.high],
    }


def _window(some: Sequence[Found]) -> RateWindow | None:
    """Rates whose score is at most `TOLERANCE` below that of the best one."""
    by_rate = {each.rate: each for each in some}
    lost = [1 - each.score for each in by_rate.values()]
    least = min(lost)
    if not np.isfinite(least):
        return None
    # what may be lost is a part of the best loss there, which is moved to 1
    return learning_rate_window(list(by_rate), [1 + x - least for x in lost], tolerance=TOLERANCE)


def _iqm(values: Sequence[float]) -> float:
    return float(iqm(np.array(values)[:, None]))


def _map_table(
    best: Mapping[tuple[str, str], Found], tasks: Sequence[str], cells: Sequence[str]
) -> runs.Table:
    rows = [[task, *(f"{best[task, cell].score:.3f}" for cell in cells)] for task in tasks]
    title = "scaled score at the length of training (0: chance, 1: all right), best rate, IQM"
    return runs.Table(title, ["task", *cells], rows)


def _table(
    best: Mapping[tuple[str, str], Found], windows: Mapping[tuple[str, str], RateWindow | None]
) -> runs.Table:
    rows = []
    for who, found in best.items():
        row, window = _row(found, windows[who]), windows[who]
        first = next(iter(found.scores))
        interval = row["interval"][first]
        lengths = ", ".join(f"{length}: {x:.3f}" for length, x in row["iqm"].items())
        rows.append(
            [
                *who,
                f"{found.parameters:,}",
                lengths,
                "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
                f"{found.rate:g}",
                "-" if window is None else f"{window.low:g} to {window.high:g}",
                f"{found.seconds:.1f}",
            ]
        )
    columns = ["task", "cell", "parameters", "scaled score by length", "interval at the first"]
    return runs.Table(
        "each cell at its best learning rate; window: rates that lose at most "
        f"{TOLERANCE:g}; seconds: of all members of that rate",
        [*columns, "rate", "window", "seconds"],
        rows,
    )


def _lines(
    best: Mapping[tuple[str, str], Found], task: str, cells: Sequence[str]
) -> dict[str, Sequence[np.ndarray]]:
    lines: dict[str, Sequence[np.ndarray]] = {}
    for cell in cells:
        scores = best[task, cell].scores
        lengths = np.array(list(scores), float)
        seeds = np.array(list(scores.values())).T
        lines[cell] = [np.stack([lengths, np.maximum(seed, -1.0)], 1) for seed in seeds]
    return lines


def _draw_map(
    path: Path,
    best: Mapping[tuple[str, str], Found],
    tasks: Sequence[str],
    cells: Sequence[str],
) -> None:
    values = np.array([[1 - best[t, c].score for c in cells] for t in tasks])
    heat_map(
        path,
        values,
        rows=tasks,
        columns=cells,
        row_label="task",
        column_label="cell",
        label="1 − scaled score (1: chance)",
    )
