"""Truncated backpropagation through time with windows of random length."""

import math

import numpy as np

from jaxrnn.base import Cell, GradientEstimator, Objective, require_positive
from jaxrnn.gradients.cutting import Chances, cut_at_random
from jaxrnn.unroll import Schedule

# Of the paper and its program: bases of 70 and 35 steps, a deviation and a least length of 5.
FULL, PART = 0.95, 1 / 14


def random_length(
    cell: Cell, objective: Objective, *, window: int, schedule: Schedule = "auto"
) -> GradientEstimator:
    """Windows that only touch, of drawn lengths: so no time step is always the one whose errors
    are cut at once.

    A length is drawn from N(b, window / 14), rounded, at least window / 14 and 1, with b = window
    in 95 of 100 cases, else window / 2; for a window of 70 these are the paper's numbers. A batch
    of T time steps holds as many windows as come out, the batch's edge ending the last one: give T
    well above `window`. The gradient is that of the batch's mean loss, so a window of n steps
    weighs n / T.

    Differs from AWD-LSTM in that
    - there each window is an update, its learning rate scaled by n / window so that every time
      step counts alike; here the windows of a batch are one update, and their mean gradients weigh
      n / T for the same reason;
    - there one length holds for the whole batch; here each sequence draws its own, so that it does
      not depend on which others it is beside (on another device, say);
    - lengths are rounded to the nearest, not down, so that `window` is their centre; and there is
      an edge.

    All T time steps are one program of fixed shapes in which the errors of the carry are stopped
    where a window begins: time and memory are those of `bptt`, O(T) per training step. History is
    not defined here (K = 0). `schedule` is that of `unroll`.

    Reference: Merity, Keskar and Socher (2018), https://arxiv.org/abs/1708.02182
    """
    require_positive(window=window)
    return cut_at_random(
        cell,
        objective,
        "random_length",
        lambda length: length_chances(window, length),
        schedule,
    )


def length_chances(window: int, length: int) -> Chances:
    """A window of l steps ends there with the probability of that length among those of at least
    l."""
    least = max(1, round(window * PART))
    at_most = np.array([0.0] + [_at_most(n, window) for n in range(1, length + 1)])
    at_most[:least] = 0.0
    left = 1 - at_most[:-1]
    # where no length is left in float64, none is reached
    cut = np.divide(np.diff(at_most), left, out=np.ones(length), where=left > 1e-12)
    return Chances(cut, np.ones(length))


def _at_most(length: int, window: int) -> float:
    """The probability that a rounded draw is at most `length`."""

    def below(base):
        return (1 + math.erf((length + 0.5 - base) / (window * PART * math.sqrt(2)))) / 2

    return FULL * below(window) + (1 - FULL) * below(window / 2)
