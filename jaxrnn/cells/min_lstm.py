"""Long short-term memory without a recurrence in its gates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights


class MinLSTMParams(NamedTuple):
    """Columns in the order f, i, n."""

    w_ih: Float[Array, "I 3*H"]
    b: Float[Array, " 3*H"]


def min_lstm(input_size: int, hidden_size: int) -> Cell:
    """minLSTM; x [I] to h [H].

        f, i = sigmoid(x W_* + b_*)
        n = x W_n + b_n
        h' = f / (f + i) * h + i / (f + i) * n

    The carry is h [H], zero at first; the output is h'. The gates and n see x alone, so all time
    steps can be worked out in parallel. The forget gate's bias begins at 1.

    Reference: Feng et al. (2024), Were RNNs All We Needed?, https://arxiv.org/abs/2410.01201: the
    vanilla form, whose gates are divided by their sum. The paper's experiments have a positive n,
    for a scan in log space, which is not needed here.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        return MinLSTMParams(
            w_ih=input_weights(key, input_size, hidden_size, gates=3),
            b=jnp.zeros(3 * hidden_size).at[:hidden_size].set(1.0),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size, params.b.dtype)

    def step(params, h, x):
        for_f, for_i, n = jnp.split(x @ params.w_ih + params.b, 3)
        # f / (f + i), which is 0 / 0 where both gates are shut
        keep = jax.nn.sigmoid(jax.nn.log_sigmoid(for_f) - jax.nn.log_sigmoid(for_i))
        h = keep * h + (1 - keep) * n
        return h, h

    return Cell(init, init_carry, step)
