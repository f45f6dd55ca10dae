"""The gated recurrent unit without a recurrence in its gates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights


class MinGRUParams(NamedTuple):
    """Columns in the order z, n."""

    w_ih: Float[Array, "I 2*H"]
    b: Float[Array, " 2*H"]


def min_gru(input_size: int, hidden_size: int) -> Cell:
    """minGRU; x [I] to h [H].

        z = sigmoid(x W_z + b_z)
        n = x W_n + b_n
        h' = (1 - z) * h + z * n

    The carry is h [H], zero at first; the output is h'. z and n see x alone, so all time steps can
    be worked out in parallel.

    Reference: Feng et al. (2024), Were RNNs All We Needed?, https://arxiv.org/abs/2410.01201: the
    vanilla form. The paper's experiments have a positive n, for a scan in log space, which is not
    needed here.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        return MinGRUParams(
            w_ih=input_weights(key, input_size, hidden_size, gates=2),
            b=jnp.zeros(2 * hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size, params.b.dtype)

    def step(params, h, x):
        for_z, n = jnp.split(x @ params.w_ih + params.b, 2)
        z = jax.nn.sigmoid(for_z)
        h = (1 - z) * h + z * n
        return h, h

    return Cell(init, init_carry, step)
