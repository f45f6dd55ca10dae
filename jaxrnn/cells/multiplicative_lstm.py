"""Long short-term memory with a transition of its own for every input."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.lstm import LSTMCarry
from jaxrnn.cells.weights import input_weights, recurrent_weights


class MultiplicativeLSTMParams(NamedTuple):
    """Columns in the order i, f, o, g."""

    w_im: Float[Array, "I H"]
    w_hm: Float[Array, "H H"]
    w_ih: Float[Array, "I 4*H"]
    w_mh: Float[Array, "H 4*H"]
    b: Float[Array, " 4*H"]


def multiplicative_lstm(input_size: int, hidden_size: int) -> Cell:
    """Multiplicative LSTM; x [I] to h [H].

        m = (x W_im) * (h W_hm)
        i, f, o = sigmoid(x W_i* + m W_m* + b_*)
        g = tanh(x W_ig + m W_mg + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The carry is (h [H], c [H]), zero at first; the output is h'. The forget gate's bias begins at
    1.

    Reference: Krause et al. (2016), https://arxiv.org/abs/1609.07959; the biases are left out of
    the paper's equations.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        keys = jax.random.split(key, 4)
        return MultiplicativeLSTMParams(
            w_im=input_weights(keys[0], input_size, hidden_size),
            w_hm=recurrent_weights(keys[1], hidden_size),
            w_ih=input_weights(keys[2], input_size, hidden_size, gates=4),
            w_mh=recurrent_weights(keys[3], hidden_size, gates=4),
            b=jnp.zeros(4 * hidden_size).at[hidden_size : 2 * hidden_size].set(1.0),
        )

    def init_carry(params, key):
        return LSTMCarry(
            h=jnp.zeros(hidden_size, params.b.dtype), c=jnp.zeros(hidden_size, params.b.dtype)
        )

    def step(params, carry, x):
        m = (x @ params.w_im) * (carry.h @ params.w_hm)
        z = x @ params.w_ih + m @ params.w_mh + params.b
        i, f, o = jnp.split(jax.nn.sigmoid(z[: 3 * hidden_size]), 3)
        g = jnp.tanh(z[3 * hidden_size :])
        c = f * carry.c + i * g
        h = o * jnp.tanh(c)
        return LSTMCarry(h, c), h

    return Cell(init, init_carry, step)
