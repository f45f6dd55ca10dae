"""The simple recurrent network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class ElmanParams(NamedTuple):
    w_ih: Float[Array, "I H"]
    w_hh: Float[Array, "H H"]
    b: Float[Array, " H"]


def elman(input_size: int, hidden_size: int) -> Cell:
    """Simple recurrent network, tanh; x [I] to h [H].

        h' = tanh(x W_ih + h W_hh + b)

    The carry is h [H], zero at first; the output is h'.

    Reference: Elman (1990), Finding Structure in Time, https://doi.org/10.1207/s15516709cog1402_1
    (tanh instead of the paper's logistic function, as is usual now).
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return ElmanParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            w_hh=recurrent_weights(key_recurrent, hidden_size),
            b=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b)

    def step(params, h, x):
        h = jnp.tanh(x @ params.w_ih + h @ params.w_hh + params.b)
        return h, h

    return Cell(init, init_carry, step)
