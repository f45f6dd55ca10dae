"""What runs came to: scores of each cell on each task, at each learning rate and at the best."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from experiments.battery.config import Config, names_of, setting_name, task_of, version_of
from jaxrnn import runs
from jaxrnn.analysis.statistics import TOLERANCE, RateWindow, iqm, learning_rate_window
from jaxrnn.cell_files import cell_name
from jaxrnn.models import TokenModel
from jaxrnn.runs.config import config_of
from jaxrnn.runs.load import stored_model
from jaxrnn.runs.opening import with_code_of
from jaxrnn.runs.records import read_record
from jaxrnn.sizes import parameters_of
from jaxrnn.tasks import scaled, task_name


class Found(NamedTuple):
    """A cell on a task at one learning rate.

    Attributes:
      run: name of the folder of the run.
      task, cell: their names.
      rate: the learning rate.
      parameters: of the model.
      epochs: of training; rates that were left out have fewer.
      course: the interquartile mean of scores at the length of training, after each epoch.
      scores: length to the scaled score of each seed, -inf where it diverged.
      losses: of each seed at the first of the lengths.
      seconds: of training and testing.
    """

    run: str
    task: str
    cell: str
    rate: float
    parameters: int
    epochs: int
    course: list[float]
    scores: dict[int, list[float]]
    losses: list[float]
    seconds: float

    @property
    def score(self) -> float:
        """The interquartile mean at the length of training."""
        return self.score_at(next(iter(self.scores)))

    def score_at(self, length: int) -> float:
        """The interquartile mean at one of the lengths."""
        return _iqm(self.scores[length])


def config_in(log: runs.RunLog) -> Config:
    """Of a run, its own cells and tasks from the source that it keeps."""
    return with_code_of(log.run, config_of(Config, read_record(log.run)["config"]))


def found_in(config: Config, log: runs.RunLog) -> list[Found]:
    """What one run came to, in the order of tasks and cells."""
    return [_found(config, log, task, cell) for task in names_of(config) for cell in config.cells]


def _found(config: Config, log: runs.RunLog, name: str, cell: str) -> Found:
    task, setting = task_of(config, name), setting_name(name, cell)
    seeds = [str(seed) for seed in range(config.loop.seeds)]

    def of_seeds(field: str, lost: float, epoch: int = -1) -> list[float]:
        """Of each seed; what diverged has `lost`, as what never came so far."""
        lines = log.curves(setting, field)
        values = [float(rows[epoch, 1]) for rows in lines.values() if epoch < len(rows)]
        values += [lost] * (len(seeds) - len(values))
        return [value if np.isfinite(value) else lost for value in values]

    def score(length: int, epoch: int = -1) -> list[float]:
        found = of_seeds(f"score_{length}", np.nan, epoch)
        return [scaled(task, x, length) if np.isfinite(x) else -np.inf for x in found]

    first = task.test_lengths[0]
    epochs = max(map(len, log.curves(setting, f"score_{first}").values()), default=0)
    return Found(
        run=log.run.path.name,
        task=task_name(name),
        cell=cell_name(cell),
        rate=config.optimizer.learning_rate,
        parameters=_parameters(stored_model(log.run, log.models[setting]), version_of(cell)),
        epochs=epochs,
        course=[_iqm(score(first, epoch)) for epoch in range(epochs)],
        scores={length: score(length) for length in task.test_lengths},
        losses=of_seeds("valid_loss", np.inf),
        seconds=log.seconds(setting),
    )


@lru_cache(maxsize=1024)
def _parameters(model: TokenModel, version: float) -> int:
    """Once for all learning rates."""
    return parameters_of(model)


def rows_of(every: Sequence[Found]) -> list[dict[str, Any]]:
    """Each cell on each task at its best rate."""
    found_windows = windows(every)
    return [row_of(found, found_windows[who]) for who, found in best_of(every).items()]


def _grouped(every: Sequence[Found]) -> dict[tuple[str, str], list[Found]]:
    groups: dict[tuple[str, str], list[Found]] = {}
    for each in every:
        groups.setdefault((each.task, each.cell), []).append(each)
    return groups


def best_of(every: Sequence[Found]) -> dict[tuple[str, str], Found]:
    """At the rate that scored best of those that were trained longest."""
    return {
        who: max(some, key=lambda each: (each.epochs, each.score))
        for who, some in _grouped(every).items()
    }


def windows(every: Sequence[Found]) -> dict[tuple[str, str], RateWindow | None]:
    return {who: _window(some) for who, some in _grouped(every).items()}


def row_of(found: Found, window: RateWindow | None) -> dict[str, Any]:
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
    """Rates whose score, after as many epochs as all were trained, is at most `TOLERANCE` below
    that of the best one."""
    epochs = min(each.epochs for each in some)
    if not epochs:
        return None
    lost = {each.rate: 1 - each.course[epochs - 1] for each in some}
    least = min(lost.values())
    if not np.isfinite(least):
        return None
    # what may be lost is a part of the best loss there, which is moved to 1
    moved = [1 + x - least for x in lost.values()]
    return learning_rate_window(list(lost), moved, tolerance=TOLERANCE)


def _iqm(values: Sequence[float]) -> float:
    return float(iqm(np.array(values)[:, None]))
