"""Long short-term memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class LSTMParams(NamedTuple):
    """Columns in the order i, f, o, g: the three gates together, then the candidate."""

    w_ih: Float[Array, "I 4*H"]
    w_hh: Float[Array, "H 4*H"]
    b: Float[Array, " 4*H"]


class LSTMCarry(NamedTuple):
    h: Float[Array, " H"]
    c: Float[Array, " H"]


def lstm(input_size: int, hidden_size: int) -> Cell:
    """Long short-term memory with a forget gate; x [I] to h [H].

        i, f, o = sigmoid(x W_i* + h W_h* + b_*)
        g = tanh(x W_ig + h W_hg + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The carry is (h [H], c [H]), zero at first; the output is h'. The forget gate's bias begins at
    1, so that a fresh cell remembers (Jozefowicz et al. 2015).

    Reference: Hochreiter and Schmidhuber (1997), https://doi.org/10.1162/neco.1997.9.8.1735;
    forget gate of Gers et al. (2000), https://doi.org/10.1162/089976600300015015.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return LSTMParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=4),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=4),
            b=jnp.zeros(4 * hidden_size).at[hidden_size : 2 * hidden_size].set(1.0),
        )

    def init_carry(params, key):
        return LSTMCarry(
            h=jnp.zeros(hidden_size, params.b.dtype), c=jnp.zeros(hidden_size, params.b.dtype)
        )

    def step(params, carry, x):
        z = x @ params.w_ih + carry.h @ params.w_hh + params.b
        i, f, o = jnp.split(jax.nn.sigmoid(z[: 3 * hidden_size]), 3)
        g = jnp.tanh(z[3 * hidden_size :])
        c = f * carry.c + i * g
        h = o * jnp.tanh(c)
        return LSTMCarry(h, c), h

    return Cell(init, init_carry, step)
