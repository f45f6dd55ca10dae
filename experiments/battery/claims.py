"""Published statements, held against what was trained here, where it was trained as they say."""

import math
from collections.abc import Mapping, Sequence

from experiments.battery.config import Config, names_of, task_of
from jaxrnn.data.tasks.published import ARJOVSKY, DELETANG, GRAZZI
from jaxrnn.runs.claims import Claim, at_least, at_most, below
from jaxrnn.tasks import task_name

SOLVE = ("elman", "gru", "lstm")
UNIT_INTERVAL = ("min_gru", "min_lstm")
"""Cells of the registry whose transitions are real numbers in [0, 1]."""

Scores = Mapping[int, Sequence[float]]
Best = Mapping[tuple[str, str], tuple[Scores, Sequence[float]]]
"""(task, cell) to scaled scores by length and losses, of all seeds at the best rate."""


def claims(config: Config, best: Best) -> list[Claim]:
    """Open (None) where a cell or a length was not trained or tested."""
    # the best seed counts, as in the papers
    found = [
        at_least(
            f"parity to 40, tested at 256: {cell} solves it",
            f"{DELETANG}; {GRAZZI}",
            _best_seed(best, "parity", cell, 256),
            0.9,
        )
        for cell in SOLVE
    ]
    found += [
        at_most(
            f"parity to 40, tested at 256: {cell}, transitions in [0, 1], does not",
            GRAZZI,
            _best_seed(best, "parity", cell, 256),
            0.1,
        )
        for cell in UNIT_INTERVAL
    ]
    for cell in ("gru", "lstm"):
        found += [
            at_most(
                f"reversed strings beyond the length of training: {cell} fails",
                DELETANG,
                _best_seed(best, "reversing", cell, _longest(config, "reversing")),
                0.5,
            ),
            below(
                f"adding at T = 200: {cell} below a tenth of the constant answer's error",
                ARJOVSKY,
                _lost(best, "adding", cell, 200),
                0.1,
            ),
            below(
                f"copy: {cell} loses less than without memory, as a part of that",
                ARJOVSKY,
                _copy(config, best, cell),
                1.0,
            ),
        ]
    return [claim for claim in found if claim.observed is not None]


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
