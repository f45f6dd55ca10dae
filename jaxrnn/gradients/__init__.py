"""One file a gradient style."""

from collections.abc import Callable

from jaxrnn.base import Cell, GradientEstimator, Objective
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.stateless import stateless
from jaxrnn.gradients.tbptt import tbptt

# `(cell, objective, window, stride) -> estimator`: every style answers to the same two integers.
StyleFactory = Callable[[Cell, Objective, int, int], GradientEstimator]

STYLES: dict[str, StyleFactory] = {
    "bptt": lambda cell, objective, window, stride: bptt(cell, objective),
    "tbptt": lambda cell, objective, window, stride: tbptt(
        cell, objective, window=window, stride=stride
    ),
    "stateless": lambda cell, objective, window, stride: stateless(
        tbptt(cell, objective, window=window, stride=stride)
    ),
}
