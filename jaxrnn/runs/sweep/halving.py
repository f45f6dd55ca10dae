"""Successive halving: after each rung of epochs the better part of the points goes on.

Reference: Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
optimization, https://proceedings.mlr.press/v51/jamieson16.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrnn.runs.directory import RunDirectory, read_metrics


def rungs_of(points: int, epochs: int, halving: int) -> list[int]:
    """After how many epochs points are left out: the last rung before the end has `halving` times
    fewer epochs than the whole, the one before it as many times fewer again, while there is more
    than one point to choose among.

    Raises:
      ValueError: a `halving` below 2, or epochs or points too few for one rung.
    """
    if halving < 2:
        raise ValueError(
            f"--halving is {halving}; give at least 2, or 0 to train every point whole"
        )
    rungs: list[int] = []
    left, at = points, epochs // halving
    while left > 1 and at >= 1:
        rungs.insert(0, at)
        left, at = kept_of(left, halving), at // halving
    if not rungs:
        raise ValueError(
            f"--halving is {halving}, with {points} points and {epochs} epochs there is no rung; "
            "give more of them, or a smaller --halving"
        )
    return rungs


def kept_of(points: int, halving: int) -> int:
    """How many of the points go on."""
    return max(1, points // halving)


def best_of(scores: Mapping[str, float], count: int) -> list[str]:
    """The names of the lowest scores, in the order of `scores`; what is NaN is the worst."""
    worst_last = {name: np.inf if np.isnan(score) else score for name, score in scores.items()}
    best = sorted(worst_last, key=worst_last.__getitem__)[:count]
    return [name for name in scores if name in best]


def kept_at_last(points: int, rungs: Sequence[int], halving: int) -> int:
    """How many of the points are trained to the end."""
    for _ in rungs:
        points = kept_of(points, halving)
    return points


def score_of(run: RunDirectory, setting: str) -> float:
    """Of a setting the median over seeds of the lowest validation loss so far, or, where nothing is
    validated, of the last epoch's training loss; infinite for a seed that diverged."""
    lowest: dict[Any, float] = {}
    last: dict[Any, float] = {}
    for line in read_metrics(run.metrics):
        if "train_loss" not in line or line["setting"] != setting:
            continue
        train, valid = (_number(line.get(name)) for name in ("train_loss", "valid_loss"))
        last[line["seed"]] = train
        if "valid_loss" in line:
            lowest[line["seed"]] = min(valid, lowest.get(line["seed"], np.inf))
    scores = {
        seed: lowest.get(seed, loss) if np.isfinite(loss) else np.inf for seed, loss in last.items()
    }
    return float(np.median(list(scores.values()))) if scores else np.inf


def _number(value: Any) -> float:
    return np.inf if value is None else float(value)
