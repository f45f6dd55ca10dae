"""The hierarchically gated recurrence with a matrix in its memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import head_size
from jaxrnn.cells.weights import input_weights


class HGRN2Params(NamedTuple):
    """Columns in the order f, i, o, of each the heads one after another."""

    w_ih: Float[Array, "I 3*H"]
    b: Float[Array, " 3*H"]


def hgrn2(input_size: int, hidden_size: int, heads: int = 1, lower_bound: float = 0.0) -> Cell:
    """HGRN2; x [I] to y [H]. Of each head, D = H / heads:

        f = lower_bound + (1 - lower_bound) sigmoid(x W_f + b_f)
        i = silu(x W_i + b_i)
        o = sigmoid(x W_o + b_o)
        h' = diag(f) h + (1 - f) i^T
        y = o h'

    What the forget gate lets go is what a number of i is written with: 1 - f are the keys of a
    linear attention. The carry is h [heads, D, D], zero at first. f, i and o see x alone.

    Reference: Qin et al. (2024), https://arxiv.org/abs/2404.07904, section 3; the lower bound
    is a number here, where the paper learns it so that it rises from layer to layer. The recurrence
    alone, without the normalisation behind it.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    size = head_size(hidden_size, heads)
    if not 0 <= lower_bound < 1:
        raise ValueError(f"lower_bound is {lower_bound}; give a number from 0 up to but not 1")

    def init(key):
        return HGRN2Params(
            w_ih=input_weights(key, input_size, hidden_size, gates=3),
            b=jnp.zeros(3 * hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros((heads, size, size), params.b.dtype)

    def of_head(h, f, i, o):
        h = f[:, None] * h + jnp.outer(1 - f, i)
        return h, o @ h

    def step(params, h, x):
        f, i, o = jnp.split(x @ params.w_ih + params.b, 3)
        f = lower_bound + (1 - lower_bound) * jax.nn.sigmoid(f)
        each = (a.reshape(heads, size) for a in (f, jax.nn.silu(i), jax.nn.sigmoid(o)))
        h, y = jax.vmap(of_head)(h, *each)
        return h, y.ravel()

    return Cell(init, init_carry, step)
