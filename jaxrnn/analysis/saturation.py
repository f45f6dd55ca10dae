"""How often the units of a cell are at an end of their range."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Range = tuple[float, float]


class Limits(NamedTuple):
    """Below the first and above the second number a unit is saturated.

    Attributes:
      gate: of what comes out of a sigmoid, 0 to 1.
      tanh: of what comes out of a tanh, -1 to 1.
    """

    gate: Range
    tanh: Range


TENTHS = Limits(gate=(0.1, 0.9), tanh=(-0.8, 0.8))
"""The outermost tenth of the range at either end. Of gates it is the published measure; of tanh
units, which the reference does not count, the same part of their range.

Reference: Karpathy et al. (2015), https://arxiv.org/abs/1506.02078, section 4.2
"""
PINNED = Limits(gate=(0.05, 0.95), tanh=(-0.97, 0.97))
"""Nearer to the ends: what a histogram shows as pinned there. TensorBoard's measure, and that of
`experiments.word --study saturation`; the page which that study follows names no number."""


class Saturation(NamedTuple):
    """Share of the time steps that a unit spends near an end of its range.

    Attributes:
      low: [...], near the lower end: a closed gate.
      high: [...], near the upper end: an open one.
    """

    low: Float[Array, "..."]
    high: Float[Array, "..."]

    @property
    def share(self) -> Float[Array, ""]:
        """Near either end, of all units."""
        return (self.low + self.high).mean()


def saturation(values: Float[Array, "T ..."], limits: Range) -> Saturation:
    """How often each unit of `values` [T, ...] is below the lower and above the upper limit.

    Raises:
      ValueError: limits that are not in order.
    """
    low, high = limits
    if not low < high:
        raise ValueError(f"limits are {limits}; give the lower one first")
    return Saturation(jnp.mean(values < low, axis=0), jnp.mean(values > high, axis=0))


def saturations(
    values: Mapping[str, Array], units: Mapping[str, str], limits: Limits
) -> dict[str, Saturation]:
    """Of every unit among the named `values` [T, ...]; `units` are those of `NamedStep`."""
    return {name: saturation(values[name], getattr(limits, kind)) for name, kind in units.items()}
