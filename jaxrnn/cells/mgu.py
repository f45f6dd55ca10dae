"""The minimal gated unit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class MGUParams(NamedTuple):
    """Columns in the order f, n."""

    w_ih: Float[Array, "I 2*H"]
    w_hh: Float[Array, "H 2*H"]
    b: Float[Array, " 2*H"]


def mgu(input_size: int, hidden_size: int) -> Cell:
    """Minimal gated unit: a GRU whose one gate resets and updates; x [I] to h [H].

        f = sigmoid(x W_if + h W_hf + b_f)
        n = tanh(x W_in + (f * h) W_hn + b_n)
        h' = (1 - f) * h + f * n

    The carry is h [H], zero at first; the output is h'.

    Reference: Zhou et al. (2016), Minimal Gated Unit for Recurrent Neural Networks,
    https://arxiv.org/abs/1603.09420
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return MGUParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=2),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=2),
            b=jnp.zeros(2 * hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size, params.b.dtype)

    def step(params, h, x):
        w_gate, w_candidate = jnp.split(params.w_hh, 2, axis=1)
        from_x_gate, from_x = jnp.split(x @ params.w_ih + params.b, 2)
        f = jax.nn.sigmoid(from_x_gate + h @ w_gate)
        n = jnp.tanh(from_x + (f * h) @ w_candidate)
        h = (1 - f) * h + f * n
        return h, h

    return Cell(init, init_carry, step)
