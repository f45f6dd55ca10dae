"""Successive halving: after each rung of epochs the better part of the points goes on.

Reference: Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
optimization, https://proceedings.mlr.press/v51/jamieson16.html
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxrnn.runs.directory import RunDirectory, read_metrics


class Search(NamedTuple):
    """The carry of a search among the points of a setting, over rungs; a checkpoint holds it.

    Attributes:
      rung: how many rungs are over.
      alive: which points go on.
      scores: of each point at the last rung that it came to; NaN before the first.
    """

    rung: Int[Array, ""]
    alive: Bool[Array, " P"]
    scores: Float[Array, " P"]


def first_search(points: int) -> Search:
    """Before the first rung all of the points are there."""
    return Search(jnp.int32(0), jnp.ones(points, bool), jnp.full(points, jnp.nan))


@partial(jax.jit, static_argnames="halving")
def halved(search: Search, scores: ArrayLike, halving: int) -> Search:
    """The search after one more rung: of the points that are alive the best `1 / halving`, and one
    at least, go on.

    Args:
      scores: [P], the lowest is the best, the earlier of two alike; NaN is the worst. Those of
        points that are not alive count for nothing.
    """
    rung, alive, before = search
    worst_last = jnp.where(jnp.isnan(scores), jnp.inf, scores)
    places = jnp.argsort(jnp.lexsort((worst_last, ~alive)))
    kept = jnp.maximum(1, alive.sum() // halving)
    return Search(rung + 1, places < kept, jnp.where(alive, scores, before))


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


def alive_of(points: Sequence[str], search: Search) -> list[str]:
    """The names of those that go on."""
    return [name for name, alive in zip(points, search.alive, strict=True) if alive]


def kept_at_last(points: int, rungs: Sequence[int], halving: int) -> int:
    """How many of the points are trained to the end."""
    for _ in rungs:
        points = kept_of(points, halving)
    return points


def score_of(run: RunDirectory, setting: str, epochs: int) -> float:
    """Of the first epochs of a setting the median over seeds of the lowest validation loss, or,
    where nothing is validated, of the last one's training loss; infinite for a seed that
    diverged."""
    lowest: dict[Any, float] = {}
    last: dict[Any, float] = {}
    for line in read_metrics(run.metrics):
        if "train_loss" not in line or line["setting"] != setting:
            continue
        if line["epoch"] > epochs:  # of a run that was resumed alone
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
