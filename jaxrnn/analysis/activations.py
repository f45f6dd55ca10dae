"""What a cell computes while it reads: carries, outputs and the values in between."""

from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Array

from jaxrnn.analysis.named import name_values
from jaxrnn.base import Carry, Cell, Params, X, Y


class Activations(NamedTuple):
    """One example over time.

    Attributes:
      carry: leaves [T, ...], after each time step.
      ys: leaves [T, ...].
      named: name to [T, ...], the values of `jaxrnn.analysis.named`.
    """

    carry: Carry
    ys: Y
    named: dict[str, Array]


def activations(cell: Cell, params: Params, carry: Carry, xs: X) -> Activations:
    """All that `cell` computes for one example.

    Args:
      cell: any cell, whole models included.
      params: its parameters.
      carry: of one example, before the first time step.
      xs: leaves [T, ...].

    Raises:
      ValueError: no time steps, or leaves of xs that disagree on how many.
    """
    count_time_steps("xs", xs)
    named = name_values(cell, params, carry, first_of(xs))

    def step(carry, x):
        carry, y, values = named.step(params, carry, x)
        return carry, (carry, y, values)

    carry, ys, values = lax.scan(step, carry, xs)[1]
    return Activations(carry, ys, named.every(values))


def count_time_steps(name: str, tree: X) -> int:
    """T of leaves [T, ...].

    Raises:
      ValueError: no leaves, leaves without a time axis, no time steps, or leaves that disagree.
    """
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(tree)}
    if len(lengths) != 1 or lengths <= {(), (0,)}:
        shapes = [leaf.shape for leaf in jax.tree.leaves(tree)]
        raise ValueError(f"{name} has leaves of shapes {shapes}; give all the same [T, ...], T > 0")
    return lengths.pop()[0]


def first_of(xs: X) -> X:
    """The shapes of one time step of leaves [T, ...]."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), xs)
