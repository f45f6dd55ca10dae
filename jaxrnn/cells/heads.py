"""What cells with several heads share: a head's size and weights, and the range of eigenvalues."""

from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Key, require_one_of, require_positive

Eigenvalues = Literal["[0, 1]", "[-1, 1]"]
"""Between what the eigenvalues of a transition lie. Negative ones are what a linear recurrence
needs to follow a parity: Grazzi et al. (2024), https://arxiv.org/abs/2411.12537."""

LEAST = 1e-6
"""Added to a squared length under the root."""


def head_size(hidden_size: int, heads: int) -> int:
    """How many of the numbers of h each head has.

    Raises:
      ValueError: heads do not divide hidden_size.
    """
    require_positive(heads=heads)
    if hidden_size % heads:
        raise ValueError(f"heads is {heads}; give a number that divides hidden_size, {hidden_size}")
    return hidden_size // heads


def reaches_below_zero(eigenvalues: str) -> bool:
    """Whether the range asked for is [-1, 1].

    Raises:
      ValueError: it is none of the two.
    """
    require_one_of(get_args(Eigenvalues), eigenvalues=eigenvalues)
    return eigenvalues == "[-1, 1]"


def by_head(draw: Callable[[Key], Array], key: Key, heads: int) -> Float[Array, "N ..."]:
    """What `draw(key)` gives for each head, [N, ...]."""
    return jnp.stack([draw(k) for k in jax.random.split(key, heads)])


def unit(vectors: Float[Array, "*N D"]) -> Float[Array, "*N D"]:
    """Vectors of length 1 along the last axis."""
    return vectors / jnp.sqrt((vectors**2).sum(-1, keepdims=True) + LEAST)
