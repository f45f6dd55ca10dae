"""What is said of it: tables, a map, curves over the length, and a card for each cell."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from experiments.battery.cards import cards_of
from experiments.battery.claims import claims
from experiments.battery.config import Config
from experiments.battery.found import Found, best_of, config_in, found_in, row_of, rows_of, windows
from jaxrnn import runs
from jaxrnn.analysis.plots import Panel, learning_curves, score_map
from jaxrnn.analysis.statistics import TOLERANCE, RateWindow
from jaxrnn.runs.opening import with_code_of


def report(config: Config, log: runs.RunLog) -> runs.Report:
    """Of one learning rate."""
    config = with_code_of(log.run, config)
    return _report(config, found_in(config, log))


def compared(config: Config, logs: Sequence[runs.RunLog], usual: runs.Report) -> runs.Report:
    """Of a sweep: every cell has its own best rate on every task."""
    kept = [config_in(log) for log in logs]
    every = [each for own, log in zip(kept, logs, strict=True) for each in found_in(own, log)]
    config = kept[0] if kept else config
    by_name = {log.run.path.name: log for log in logs}
    cards = cards_of(config, every, best_of(every), by_name)
    return _report(config, every)._replace(pages=cards)


def draws_of(every: Sequence[Found]) -> dict[str, Callable[[Path], None]]:
    """A map of all scores, and for each task the scores over the length."""
    best = best_of(every)
    tasks, cells = _names(best)
    draws: dict[str, Callable[[Path], None]] = {
        "battery": partial(_draw_map, best=best, tasks=tasks, cells=cells)
    }
    for task in tasks:
        heights = {"chance": 0.0, "all right": 1.0}
        scores = np.concatenate([[*best[task, cell].scores.values()] for cell in cells])
        title = task if scores.min() >= -1 else f"{task} (lower than −1 as −1)"
        panel = Panel(title, _lines(best, task, cells), heights, "time steps")
        draws[f"lengths_{task}"] = partial(learning_curves, panels=[panel], y_label="scaled score")
    return draws


def _report(config: Config, every: Sequence[Found]) -> runs.Report:
    best = best_of(every)
    return runs.Report(
        results=rows_of(every),
        claims=claims(config, {who: (each.scores, each.losses) for who, each in best.items()}),
        tables=[_map_table(best, *_names(best)), _table(best, windows(every))],
        plots=draws_of(every),
    )


def _names(best: Mapping[tuple[str, str], Found]) -> tuple[list[str], list[str]]:
    tasks, cells = (list(dict.fromkeys(names)) for names in zip(*best, strict=True))
    return tasks, cells


def _map_table(
    best: Mapping[tuple[str, str], Found], tasks: Sequence[str], cells: Sequence[str]
) -> runs.Table:
    rows = [[task, *(f"{best[task, cell].score:.3f}" for cell in cells)] for task in tasks]
    title = "scaled score at the length of training (0: chance, 1: all right), best rate, IQM"
    return runs.Table(title, ["task", *cells], rows)


def _table(
    best: Mapping[tuple[str, str], Found], rates: Mapping[tuple[str, str], RateWindow | None]
) -> runs.Table:
    rows = []
    for who, found in best.items():
        row, window = row_of(found, rates[who]), rates[who]
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
    values = np.array([[best[task, cell].score for cell in cells] for task in tasks])
    label = "scaled score, 0: chance, 1: all right"
    score_map(path, values, rows=tasks, columns=cells, label=label)
