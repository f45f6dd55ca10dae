"""What several seeds say: aggregates with bootstrap intervals, comparisons, and the window of
learning rates.

Scores are arrays [..., seeds, tasks]; every statistic takes the last two axes together, and the
axes before them are a batch. A single task is [seeds, 1]. A member that diverged is infinite on the
worse side, +inf as a loss: it is then counted, and not left out. NaN is refused.

Reference: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice
(2021), https://arxiv.org/abs/2108.13264, and its library rliable. Learning-rate windows: Okpekpe
and Orvieto (2025), https://arxiv.org/abs/2508.19029, where comparisons at one rate mislead.

What the intervals cover with few seeds is less than they say: `jaxrnn.analysis.coverage`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Statistic = np.ndarray | np.float64
"""An array over the batch axes of the scores; without any, a number."""

CONFIDENCE = 0.95
RESAMPLES = 5_000
TOLERANCE = 0.05
"""What a learning rate in the window may lose, as a part of the best one's loss."""
AT_ONCE = 2**22
"""How many resampled numbers are held at a time."""


class Interval(NamedTuple):
    """A statistic of the scores, and the ends of its interval: numbers, or arrays of them."""

    value: Any
    low: Any
    high: Any


class RateWindow(NamedTuple):
    """The learning rates at which a setting is about as good as at its best.

    Attributes:
      best_rate: of the lowest loss.
      best_loss: the lowest loss.
      low: the lowest rate of the window.
      high: its highest.
      factor: high / low.
      most: the ratio of the next rates outside, which the whole window stays below; infinite where
        it reaches an end of the grid, so that `factor` is only the least that it can be.
    """

    best_rate: float
    best_loss: float
    low: float
    high: float
    factor: float
    most: float


def iqm(scores: np.ndarray) -> Statistic:
    """Interquartile mean: of all scores [..., seeds, tasks] together, the mean without the lowest
    and the highest quarter; of n scores int(n / 4) are left out at each side, as by
    `scipy.stats.trim_mean`."""
    pooled = np.sort(_pooled(scores), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(-1)


def median(scores: np.ndarray) -> Statistic:
    """Of the tasks' means over seeds; of a single task, of its seeds."""
    scores = _checked(scores)
    if scores.shape[-1] > 1:
        return np.median(scores.mean(-2), axis=-1)
    # the mean of two infinities is one, while numpy's way there makes it NaN
    ordered = np.sort(scores[..., 0], axis=-1)
    return (ordered[..., (ordered.shape[-1] - 1) // 2] + ordered[..., ordered.shape[-1] // 2]) / 2


def optimality_gap(scores: np.ndarray, target: float) -> Statistic:
    """How far scores stay below `target` in the mean, where one above it counts as reaching it;
    higher scores are better.

    Raises:
      ValueError: scores with NaN; a target that is not finite.
    """
    if not math.isfinite(target):
        raise ValueError(f"target is {target}; give a finite number")
    return np.maximum(target - _pooled(scores), 0.0).mean(-1)


def performance_profile(scores: np.ndarray, taus: Sequence[float]) -> Statistic:
    """The fraction of scores above each tau, [..., taus].

    Raises:
      ValueError: scores or taus with NaN.
    """
    levels = np.asarray(taus, float)
    if np.isnan(levels).any():
        raise ValueError("taus hold NaN; give numbers")
    return (_pooled(scores)[..., None] > levels).mean(-2)


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> Statistic:
    """P(X > Y) of a seed of x [..., seeds, tasks] and one of y [..., other seeds, tasks], ties
    counted half, in the mean over tasks: the Mann-Whitney statistic over the number of pairs. Of
    losses, where less is better, give the negative."""
    x, y = _checked(x), _checked(y)
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"x has {x.shape[-1]} tasks and y has {y.shape[-1]}; give the same tasks, in one order"
        )
    x, y = x[..., :, None, :], y[..., None, :, :]
    return ((x > y) + 0.5 * (x == y)).mean((-3, -2, -1))


def bootstrap(
    statistic: Callable[..., Statistic],
    *scores: np.ndarray,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The percentile interval of `statistic(*scores)` by the stratified bootstrap: seeds are drawn
    anew, with replacement, within each task.

    Args:
      statistic: takes arrays [..., seeds, tasks], such as those above.
      scores: [seeds, tasks] each, drawn independently of one another.
      confidence: the part of the resamples between the ends; the interval covers the truth less
        often (`jaxrnn.analysis.coverage`).

    Raises:
      ValueError: scores of other shapes or with NaN; a confidence outside 0 to 1.
    """
    _check_drawing(confidence, resamples)
    if not scores:
        raise ValueError("no scores are given; give arrays [seeds, tasks] after the statistic")
    checked = [_checked(each) for each in scores]
    for each in checked:
        if each.ndim != 2:
            raise ValueError(f"scores have shape {each.shape}; give [seeds, tasks]")
    generator = np.random.default_rng(seed)
    size = math.prod(each.shape[0] for each in checked) * checked[0].shape[1]
    drawn = [
        statistic(*(_resampled(each, generator, count) for each in checked))
        for count in _portions(resamples, max(1, AT_ONCE // size))
    ]
    values, outside = np.concatenate(drawn), (1 - confidence) / 2
    # a drawn value and nothing between two: between finite and infinite is no number
    low = np.quantile(values, outside, axis=0, method="lower")
    high = np.quantile(values, 1 - outside, axis=0, method="higher")
    return Interval(statistic(*checked), low, high)


def iqm_by_step(
    values: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES // 5,
    seed: int = 0,
) -> Interval:
    """Of curves [seeds, steps] the interquartile mean at every step, and its interval there: one
    drawing of seeds serves all steps, which a band shows one by one and not as a whole.

    Raises:
      ValueError: as `bootstrap`.
    """
    _check_drawing(confidence, resamples)
    values = _checked(values)
    if values.ndim != 2:
        raise ValueError(f"values have shape {values.shape}; give [seeds, steps]")
    generator, count = np.random.default_rng(seed), values.shape[0]
    draws = generator.integers(0, count, (resamples, count))
    found = []
    for column in np.array_split(values, max(1, values.size * resamples // AT_ONCE), axis=1):
        means = iqm(column[draws].swapaxes(-1, -2)[..., None])
        outside = (1 - confidence) / 2
        low = np.quantile(means, outside, axis=0, method="lower")
        high = np.quantile(means, 1 - outside, axis=0, method="higher")
        found.append((iqm(column.T[..., None]), low, high))
    return Interval(*(np.concatenate(each) for each in zip(*found, strict=True)))


def learning_rate_window(
    rates: Sequence[float], losses: Sequence[float], *, tolerance: float = TOLERANCE
) -> RateWindow | None:
    """The rates around the best one at which the loss is within `tolerance` of the best loss.

    Args:
      rates: above 0, each once, in any order.
      losses: one to a rate, lower is better; NaN and infinity where a rate diverged.
      tolerance: what may be lost, as a part of the size of the best loss.

    Returns:
      the window, whose rates are neighbours in the grid; None where every rate diverged.

    Raises:
      ValueError: no rate, one twice or not above 0, other than one loss each, or a tolerance below
        0.
    """
    if len(rates) != len(losses) or not len(rates):
        raise ValueError(f"{len(rates)} rates have {len(losses)} losses; give one loss to a rate")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}; give 0 or more")
    if not all(0 < rate < math.inf for rate in rates) or len(set(rates)) < len(rates):
        raise ValueError(f"rates are {list(rates)}; give each once, above 0")
    order = np.argsort(rates)
    grid = np.asarray(rates, float)[order]
    found = np.asarray(losses, float)[order]
    found = np.where(np.isfinite(found), found, np.inf)
    best = int(found.argmin())
    if not np.isfinite(found[best]):
        return None
    good = found <= found[best] + tolerance * abs(found[best])
    first, last = best, best
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(grid) and good[last + 1]:
        last += 1
    inside = first > 0 and last + 1 < len(grid)
    low, high = float(grid[first]), float(grid[last])
    most = float(grid[last + 1] / grid[first - 1]) if inside else math.inf
    return RateWindow(float(grid[best]), float(found[best]), low, high, high / low, most)


def _check_drawing(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give more than 0 and less than 1")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; give at least 1")


def _checked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, float)
    if scores.ndim < 2 or 0 in scores.shape[-2:]:
        raise ValueError(f"scores have shape {scores.shape}; give [..., seeds, tasks], no axis 0")
    if np.isnan(scores).any():
        raise ValueError(
            "scores hold NaN; give a member that diverged as infinite, on the worse side"
        )
    return scores


def _pooled(scores: np.ndarray) -> np.ndarray:
    scores = _checked(scores)
    return scores.reshape(*scores.shape[:-2], -1)


def _resampled(scores: np.ndarray, generator: np.random.Generator, count: int) -> np.ndarray:
    """[count, seeds, tasks], every column drawn by itself."""
    chosen = generator.integers(0, scores.shape[0], (count, *scores.shape))
    return np.take_along_axis(scores[None], chosen, axis=1)


def _portions(total: int, most: int) -> Iterator[int]:
    for start in range(0, total, most):
        yield min(most, total - start)
