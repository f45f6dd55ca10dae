"""Long short-term memory with layer normalisation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.lstm import LSTMCarry
from jaxrnn.cells.weights import input_weights, recurrent_weights

EPSILON = 1e-5
"""Added to the variance under the root."""


class LayerNormLSTMParams(NamedTuple):
    """Columns, `scale` and `shift` in the order i, f, o, g; `scale_c` and `shift_c` of c'."""

    w_ih: Float[Array, "I 4*H"]
    w_hh: Float[Array, "H 4*H"]
    scale: Float[Array, " 4*H"]
    shift: Float[Array, " 4*H"]
    scale_c: Float[Array, " H"]
    shift_c: Float[Array, " H"]


def layer_norm_lstm(input_size: int, hidden_size: int) -> Cell:
    """LSTM with layer normalisation of each gate and of what leaves the memory; x [I] to h [H].

        i, f, o, g = ln(x W_i* + h W_h*), each of the four on its own
        c' = sigmoid(f + 1) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(ln(c'))

    ln subtracts the mean and divides by the standard deviation over H, then scales (by 1 at first)
    and shifts (by 0). The carry is (h [H], c [H]), zero at first and c never normalised; the output
    is h'.

    Reference: Ba et al. (2016), https://arxiv.org/abs/1607.06450, in the form of R2RT's Recurrent
    Neural Networks in Tensorflow II: normalised after the sum and the split, where the paper
    normalises what comes from x and from h each by itself, and a forget bias of 1 behind it.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return LayerNormLSTMParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=4),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=4),
            scale=jnp.ones(4 * hidden_size),
            shift=jnp.zeros(4 * hidden_size),
            scale_c=jnp.ones(hidden_size),
            shift_c=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return LSTMCarry(
            h=jnp.zeros(hidden_size, params.shift.dtype),
            c=jnp.zeros(hidden_size, params.shift.dtype),
        )

    def step(params, carry, x):
        h, c = carry
        z = (x @ params.w_ih + h @ params.w_hh).reshape(4, hidden_size)
        i, f, o, g = jnp.split(params.scale * _normalised(z).ravel() + params.shift, 4)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(params.scale_c * _normalised(c) + params.shift_c)
        return LSTMCarry(h, c), h

    return Cell(init, init_carry, step)


def _normalised(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
