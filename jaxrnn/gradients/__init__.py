"""One file a gradient style."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from jaxrnn.base import Cell, GradientEstimator, Objective
from jaxrnn.gradients.artbp import artbp
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.cutting import survival
from jaxrnn.gradients.eprop import eprop
from jaxrnn.gradients.random_length import length_chances, random_length
from jaxrnn.gradients.rflo import rflo
from jaxrnn.gradients.rtrl import rtrl
from jaxrnn.gradients.snap import snap
from jaxrnn.gradients.stateless import stateless
from jaxrnn.gradients.tbptt import tbptt
from jaxrnn.gradients.uoro import uoro
from jaxrnn.gradients.weight_drop import weight_drop as weight_drop
from jaxrnn.unroll import Schedule

StyleFactory = Callable[[Cell, Objective, int, int, Schedule], GradientEstimator]
Accuracy = Literal["exact", "unbiased", "approximate"]
Survival = Callable[[int, int], np.ndarray]


class Style(NamedTuple):
    """A gradient style as every experiment calls it, and what the laws may expect of it.

    Attributes:
      build: `(cell, objective, window, stride, schedule) -> estimator`: every style answers to the
        same two integers, and unrolls by the schedule it is given.
      carries: whether a batch continues where the last one ended; if not, each starts fresh.
      truncates: whether the two integers bound how far an error goes back; if not, every error
        goes back to the batch's first time step.
      carries_credit: whether an error goes back across batches, to the start of its sequence;
        if not, it ends where the carry crosses into the batch.
      accuracy: of the gradient so declared. "unbiased": its mean over keys is exact.
        "approximate": exact for cells where each number of the carry is fed by itself alone.
      integers: those of the two that the style reads; an experiment refuses the others.
      survival: of a style that draws where errors are cut, `(window, T) -> [T, T]`, the mean factor
        with which the error of time step t (first axis) arrives at step s of the same batch.
    """

    build: StyleFactory
    carries: bool
    truncates: bool
    carries_credit: bool = False
    accuracy: Accuracy = "exact"
    integers: tuple[str, ...] = ("window", "stride")
    survival: Survival | None = None

    def __call__(
        self,
        cell: Cell,
        objective: Objective,
        window: int,
        stride: int,
        *,
        schedule: Schedule = "auto",
    ) -> GradientEstimator:
        return self.build(cell, objective, window, stride, schedule)


def _style(
    factory: Callable[..., GradientEstimator],
    *integers: str,
    carries: bool = True,
    truncates: bool = False,
    carries_credit: bool = False,
    accuracy: Accuracy = "exact",
    survival: Survival | None = None,
) -> Style:
    """The style of a factory that takes these of the two integers, by name."""

    def build(cell, objective, window, stride, schedule):
        given = {"window": window, "stride": stride}
        read = {name: given[name] for name in integers}
        return factory(cell, objective, **read, schedule=schedule)

    return Style(build, carries, truncates, carries_credit, accuracy, integers, survival)


def _stateless_tbptt(cell, objective, *, window, stride, schedule):
    return stateless(tbptt(cell, objective, window=window, stride=stride, schedule=schedule))


def _whole(window: int, length: int) -> np.ndarray:
    """Every error arrives everywhere, in the mean."""
    return np.tri(length)


STYLES: dict[str, Style] = {
    "bptt": _style(bptt),
    "tbptt": _style(tbptt, "window", "stride", truncates=True),
    "stateless": _style(_stateless_tbptt, "window", "stride", carries=False, truncates=True),
    "random_length": _style(
        random_length,
        "window",
        accuracy="unbiased",
        survival=lambda window, length: survival(length_chances(window, length)),
    ),
    "artbp": _style(artbp, "window", accuracy="unbiased", survival=_whole),
    "rtrl": _style(rtrl, carries_credit=True),
    "snap": _style(snap, carries_credit=True, accuracy="approximate"),
    "snap_2": _style(partial(snap, order=2), carries_credit=True, accuracy="approximate"),
    "uoro": _style(uoro, carries_credit=True, accuracy="unbiased"),
    "rflo": _style(rflo, carries_credit=True, accuracy="approximate"),
    "eprop": _style(eprop, carries_credit=True, accuracy="approximate"),
}
"""The gradient styles by name, as `--estimator NAME` takes them."""
