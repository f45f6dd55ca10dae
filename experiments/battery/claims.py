"""Published statements, held against what was trained here, where it was trained as they say."""

import math
from collections.abc import Mapping, Sequence

from experiments.battery.config import Config, names_of, task_of
from jaxrnn.data.tasks.published import ARJOVSKY, DELETANG, GRAZZI
from jaxrnn.runs.claims import Claim, at_least, at_most, below
from jaxrnn.tasks import task_name

PARITY = "parity to 40, tested at 256"
SOLVE = ("elman", "gru", "lstm")
GATED = ("gru", "lstm")
UNIT_INTERVAL = ("min_gru", "min_lstm")
"""Cells of the registry whose transitions are real numbers in [0, 1]."""

Scores = Mapping[int, Sequence[float]]
Best = Mapping[tuple[str, str], tuple[Scores, Sequence[float]]]
"""(task, cell) to scaled scores by length and losses, of all seeds at the best rate."""


def claims(config: Config, best: Best) -> list[Claim]:
    """Of the run's tasks and cells; open (None) where it did not train or test at that length."""
    found: list[Claim] = []
    # the best seed counts, as in the papers
    for task, cell in best:
        if task == "parity" and cell in SOLVE:
            name, source = f"{PARITY}: {cell} solves it", f"{DELETANG}; {GRAZZI}"
            found.append(at_least(name, source, _best_seed(best, task, cell, 256), 0.9))
        if task == "parity" and cell in UNIT_INTERVAL:
            name = f"{PARITY}: {cell}, transitions in [0, 1], does not"
            found.append(at_most(name, GRAZZI, _best_seed(best, task, cell, 256), 0.1))
        if task == "reversing" and cell in GATED:
            name = f"reversed strings beyond the length of training: {cell} fails"
            observed = _best_seed(best, task, cell, _longest(config, task))
            found.append(at_most(name, DELETANG, observed, 0.5))
        if task == "adding" and cell in GATED:
            name = (
                f"adding, trained at T = 200: {cell} below a tenth of the constant answer's error"
            )
            found.append(below(name, ARJOVSKY, _lost(best, task, cell, 200), 0.1))
        if task == "copy" and cell in GATED:
            name = f"copy: {cell} loses less than without memory, as a part of that"
            found.append(below(name, ARJOVSKY, _copy(config, best, cell), 1.0))
    return found


def _best_seed(best: Best, task: str, cell: str, length: int) -> float | None:
    scores, _ = best.get((task, cell), ({}, ()))
    return max(scores[length]) if length in scores else None


def _lost(best: Best, task: str, cell: str, length: int) -> float | None:
    """What is left of the constant answer's error, where that length was trained at."""
    scores, _ = best.get((task, cell), ({}, ()))
    return 1 - max(scores[length]) if length in list(scores)[:1] else None


def _copy(config: Config, best: Best, cell: str) -> float | None:
    _, losses = best.get(("copy", cell), ({}, ()))
    names = {task_name(name): name for name in names_of(config)}
    if not losses:
        return None
    return min(losses) / math.log(task_of(config, names["copy"]).answers)


def _longest(config: Config, task: str) -> int:
    names = {task_name(name): name for name in names_of(config)}
    return task_of(config, names[task]).test_lengths[-1] if task in names else 0
