"""One file a gradient style."""

from collections.abc import Callable
from typing import NamedTuple

from jaxrnn.base import Cell, GradientEstimator, Objective
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.stateless import stateless
from jaxrnn.gradients.tbptt import tbptt

StyleFactory = Callable[[Cell, Objective, int, int], GradientEstimator]


class Style(NamedTuple):
    """A gradient style as every experiment calls it, and what the laws may expect of it.

    Attributes:
      build: `(cell, objective, window, stride) -> estimator`: every style answers to the same two
        integers.
      carries: whether a batch continues where the last one ended; if not, each starts fresh.
      truncates: whether the two integers bound how far an error goes back; if not, every error
        goes back to the batch's first time step.
    """

    build: StyleFactory
    carries: bool
    truncates: bool

    def __call__(
        self, cell: Cell, objective: Objective, window: int, stride: int
    ) -> GradientEstimator:
        return self.build(cell, objective, window, stride)


STYLES: dict[str, Style] = {
    "bptt": Style(
        lambda cell, objective, window, stride: bptt(cell, objective),
        carries=True,
        truncates=False,
    ),
    "tbptt": Style(
        lambda cell, objective, window, stride: tbptt(
            cell, objective, window=window, stride=stride
        ),
        carries=True,
        truncates=True,
    ),
    "stateless": Style(
        lambda cell, objective, window, stride: stateless(
            tbptt(cell, objective, window=window, stride=stride)
        ),
        carries=False,
        truncates=True,
    ),
}
