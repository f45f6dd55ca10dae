"""One file a gradient style."""

from collections.abc import Callable
from typing import NamedTuple

from jaxrnn.base import Cell, GradientEstimator, Objective
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.stateless import stateless
from jaxrnn.gradients.tbptt import tbptt
from jaxrnn.unroll import Schedule

StyleFactory = Callable[[Cell, Objective, int, int, Schedule], GradientEstimator]


class Style(NamedTuple):
    """A gradient style as every experiment calls it, and what the laws may expect of it.

    Attributes:
      build: `(cell, objective, window, stride, schedule) -> estimator`: every style answers to the
        same two integers, and unrolls by the schedule it is given.
      carries: whether a batch continues where the last one ended; if not, each starts fresh.
      truncates: whether the two integers bound how far an error goes back; if not, every error
        goes back to the batch's first time step.
    """

    build: StyleFactory
    carries: bool
    truncates: bool

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


STYLES: dict[str, Style] = {
    "bptt": Style(
        lambda cell, objective, window, stride, schedule: bptt(cell, objective, schedule=schedule),
        carries=True,
        truncates=False,
    ),
    "tbptt": Style(
        lambda cell, objective, window, stride, schedule: tbptt(
            cell, objective, window=window, stride=stride, schedule=schedule
        ),
        carries=True,
        truncates=True,
    ),
    "stateless": Style(
        lambda cell, objective, window, stride, schedule: stateless(
            tbptt(cell, objective, window=window, stride=stride, schedule=schedule)
        ),
        carries=False,
        truncates=True,
    ),
}
