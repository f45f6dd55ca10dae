"""Truncated backpropagation through time without bias."""

import numpy as np

from jaxrnn.base import Cell, GradientEstimator, Objective, require_positive
from jaxrnn.gradients.cutting import Chances, cut_at_random
from jaxrnn.unroll import Schedule


def artbp(
    cell: Cell,
    objective: Objective,
    *,
    window: int,
    tail: float = 4.0,
    schedule: Schedule = "auto",
) -> GradientEstimator:
    """Anticipated reweighted truncated backpropagation: errors are cut at random, and those that
    pass are scaled up, so that the mean over the draws is the gradient of `bptt`.

    In front of each time step the errors of a sequence are cut with probability c, else multiplied
    by 1 / (1 - c), with c = tail / ((tail - 1) window + l) after l steps since the last cut. So a
    segment has `window` steps in the mean, and lasts longer than l with a probability that falls
    as l^-tail: a smaller `tail` (above 1) makes long segments more frequent, and the factors of
    their errors smaller. As `tail` grows, c becomes 1 / window at every step.

    The batch's edge cuts as well, and nothing makes up for that: unbiased is the gradient of the
    batch's mean loss with the carry given, which is the one that `bptt` takes. Give T well above
    `window`. Each sequence has its own cuts, drawn anew in every batch.

    Differs from the paper in that all T time steps are one program: the cuts save neither time nor
    memory, which are those of `bptt`, O(T) per training step. History is not defined here (K = 0).
    `schedule` is that of `unroll`.

    Reference: Tallec and Ollivier (2017), https://arxiv.org/abs/1705.08209
    """
    require_positive(window=window)
    if window < 2:
        raise ValueError(
            f"window is {window}; artbp needs a mean length of at least 2, "
            "since errors that are always cut cannot be made up for"
        )
    if not isinstance(tail, int | float) or not tail > 1:
        raise ValueError(f"tail is {tail!r}; give a number above 1")

    return cut_at_random(
        cell,
        objective,
        "artbp",
        lambda length: artbp_chances(window, length, tail),
        schedule,
    )


def artbp_chances(window: int, length: int, tail: float = 4.0) -> Chances:
    # divided by tail above and below, so that it may be infinite
    cut = 1 / ((1 - 1 / tail) * window + np.arange(1, length + 1) / tail)
    return Chances(cut, 1 / (1 - cut))
