"""Gated linear attention."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import head_size
from jaxrnn.cells.weights import input_weights

ROOT = 16.0
"""tau of the paper: alpha is a sigmoid's root of this order, so that it begins near 1."""


class GLAParams(NamedTuple):
    """Columns of `w_ih` in the order q, k, v, of each the heads one after another; what alpha comes
    from goes through `rank` numbers."""

    w_ih: Float[Array, "I 3*H"]
    w_down: Float[Array, "I R"]
    w_up: Float[Array, "R H"]
    b: Float[Array, " H"]


def gla(input_size: int, hidden_size: int, heads: int = 1, rank: int = 16) -> Cell:
    """Gated linear attention; x [I] to o [H]. Of each head, D = H / heads:

        q, k, v = x W_q, x W_k, x W_v
        alpha = sigmoid(x W_1 W_2 + b)^(1 / 16)
        S' = diag(alpha) S + k^T v
        o = q S'

    W_1 has `rank` columns. The carry is S [heads, D, D], keys by values, zero at first. q, k, v and
    alpha see x alone.

    Reference: Yang et al. (2023), https://arxiv.org/abs/2312.06635, section 4, where keys have half
    as many numbers as values; the recurrence alone, without the normalisation and the output gate
    behind it.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, rank=rank)
    size = head_size(hidden_size, heads)

    def init(key):
        key_input, key_down, key_up = jax.random.split(key, 3)
        return GLAParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=3),
            w_down=input_weights(key_down, input_size, rank),
            w_up=input_weights(key_up, rank, hidden_size),
            b=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros((heads, size, size), params.b.dtype)

    def of_head(s, q, k, v, alpha):
        s = alpha[:, None] * s + jnp.outer(k, v)
        return s, q @ s

    def step(params, s, x):
        q, k, v = jnp.split(x @ params.w_ih, 3)
        gate = jax.nn.log_sigmoid(x @ params.w_down @ params.w_up + params.b)
        each = (a.reshape(heads, size) for a in (q, k, v, jnp.exp(gate / ROOT)))
        s, o = jax.vmap(of_head)(s, *each)
        return s, o.ravel()

    return Cell(init, init_carry, step)
