"""Long short-term memory whose gates see the memory itself."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.lstm import LSTMCarry
from jaxrnn.cells.weights import input_weights, recurrent_weights


class PeepholeLSTMParams(NamedTuple):
    """Columns in the order i, f, o, g; `peep` in the order i, f, o."""

    w_ih: Float[Array, "I 4*H"]
    w_hh: Float[Array, "H 4*H"]
    b: Float[Array, " 4*H"]
    peep: Float[Array, " 3*H"]


def peephole_lstm(input_size: int, hidden_size: int) -> Cell:
    """LSTM with peepholes; x [I] to h [H].

        i = sigmoid(x W_ii + h W_hi + p_i * c + b_i)
        f = sigmoid(x W_if + h W_hf + p_f * c + b_f)
        g = tanh(x W_ig + h W_hg + b_g)
        c' = f * c + i * g
        o = sigmoid(x W_io + h W_ho + p_o * c' + b_o)
        h' = o * tanh(c')

    The carry is (h [H], c [H]), zero at first; the output is h'. Peepholes begin at 0, where the
    cell is the plain LSTM, and the forget gate's bias at 1.

    Reference: Gers, Schraudolph and Schmidhuber (2002), Learning Precise Timing with LSTM Recurrent
    Networks, https://www.jmlr.org/papers/v3/gers02a.html; every unit sees its own memory alone, and
    the output gate the new one. The paper squashes by scaled logistic functions instead of tanh.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return PeepholeLSTMParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=4),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=4),
            b=jnp.zeros(4 * hidden_size).at[hidden_size : 2 * hidden_size].set(1.0),
            peep=jnp.zeros(3 * hidden_size),
        )

    def init_carry(params, key):
        return LSTMCarry(
            h=jnp.zeros(hidden_size, params.b.dtype), c=jnp.zeros(hidden_size, params.b.dtype)
        )

    def step(params, carry, x):
        h, c = carry
        for_i, for_f, for_o, for_g = jnp.split(x @ params.w_ih + h @ params.w_hh + params.b, 4)
        p_i, p_f, p_o = jnp.split(params.peep, 3)
        i = jax.nn.sigmoid(for_i + p_i * c)
        f = jax.nn.sigmoid(for_f + p_f * c)
        c = f * c + i * jnp.tanh(for_g)
        o = jax.nn.sigmoid(for_o + p_o * c)
        h = o * jnp.tanh(c)
        return LSTMCarry(h, c), h

    return Cell(init, init_carry, step)
