"""What a cell computes while it reads: carries, outputs and the values in between."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxrnn.analysis.named import SQUASHING, name_values
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

    return Activations(*lax.scan(step, carry, xs)[1])


class Saturation(NamedTuple):
    """Share of the time steps that a unit spends near an end of its range.

    Attributes:
      low: [...], near the lower end: a closed gate.
      high: [...], near the upper end: an open one.
    """

    low: Float[Array, "..."]
    high: Float[Array, "..."]


def saturation(
    values: Float[Array, "T ..."], lowest: float, highest: float, *, margin: float = 0.1
) -> Saturation:
    """How often each unit of `values` [T, ...] is in the outermost `margin` of its range, from
    `lowest` to `highest`, at either end. At 0.1, as in the reference, an open gate is above 0.9.

    Reference: Karpathy et al. (2015), https://arxiv.org/abs/1506.02078, section 4.2

    Raises:
      ValueError: a range without width, or a margin outside (0, 0.5].
    """
    if not lowest < highest:
        raise ValueError(f"lowest is {lowest}, highest {highest}; give a lowest below the highest")
    if not 0 < margin <= 0.5:
        raise ValueError(f"margin is {margin}; give a part of the range, above 0 and at most 0.5")
    width = margin * (highest - lowest)
    return Saturation(
        jnp.mean(values < lowest + width, axis=0), jnp.mean(values > highest - width, axis=0)
    )


def saturations(named: dict[str, Array], *, margin: float = 0.1) -> dict[str, Saturation]:
    """The saturation of every logistic function and tanh among the values `named`."""
    lowest = {"logistic": 0.0, "tanh": -1.0}
    found = {}
    for name, values in named.items():
        kind = next((k for k in SQUASHING if _is_numbered(name.rpartition("/")[2], k)), None)
        if kind is not None:
            found[name] = saturation(values, lowest[kind], 1.0, margin=margin)
    return found


def _is_numbered(name: str, kind: str) -> bool:
    return name == kind or (name.startswith(f"{kind}_") and name[len(kind) + 1 :].isdigit())


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
