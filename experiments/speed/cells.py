"""Three cells that no library has a kernel for, written as a researcher writes them first."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights

EPSILON = 1e-5


class LayerNormLSTMParams(NamedTuple):
    """Columns in the order i, g, f, o; rows of scale and shift too, and c the last."""

    w_ih: Float[Array, "I 4*H"]
    w_hh: Float[Array, "H 4*H"]
    scale: Float[Array, "5 H"]
    shift: Float[Array, "5 H"]


def layer_norm_lstm(input_size: int, hidden_size: int) -> Cell:
    """LSTM with layer normalisation of each gate and of what leaves the cell; x [I] to h [H].

        i, g, f, o = ln(x W_i* + h W_h*), each of the four on its own
        c' = sigmoid(f + 1) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(ln(c'))

    ln subtracts the mean and divides by the standard deviation over H, then scales and shifts. The
    carry is (h [H], c [H]).

    Reference: Ba et al. (2016), https://arxiv.org/abs/1607.06450, in the form of R2RT's second
    post: normalised after the sum and the split, forget bias of 1 behind it.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return LayerNormLSTMParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=4),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=4),
            scale=jnp.ones((5, hidden_size)),
            shift=jnp.zeros((5, hidden_size)),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size), jnp.zeros(hidden_size)

    def step(params, carry, x):
        h, c = carry
        z = (x @ params.w_ih + h @ params.w_hh).reshape(4, hidden_size)
        i, g, f, o = params.scale[:4] * _normalised(z) + params.shift[:4]
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(params.scale[4] * _normalised(c) + params.shift[4])
        return (h, c), h

    return Cell(init, init_carry, step)


def _normalised(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)


class MixtureGRUParams(NamedTuple):
    """K input matrices of the candidate, and what weighs them; columns of the gates r, u."""

    w_ih: Float[Array, "I 2*H"]
    w_hh: Float[Array, "H 2*H"]
    b: Float[Array, " 2*H"]
    w_mix: Float[Array, "K I H"]
    w_weigh: Float[Array, "I K"]
    u_weigh: Float[Array, "H K"]
    b_weigh: Float[Array, " K"]
    w_candidate: Float[Array, "H H"]
    b_candidate: Float[Array, " H"]


def mixture_gru(input_size: int, hidden_size: int, matrices: int = 5) -> Cell:
    """GRU whose candidate reads x through a mixture of matrices; x [I] to h [H].

        r, u = sigmoid(x W_* + h U_* + b_*)
        k = softmax(x W_k + h U_k + b_k)
        n = tanh(sum_j k_j x W_j + (r * h) U_n + b_n)
        h' = u * h + (1 - u) * n

    The carry is h [H], zero at first.

    Reference: the custom cell of R2RT, Recurrent Neural Networks in Tensorflow II (2016), which has
    five matrices and begins the gates' biases at 1.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, matrices=matrices)

    def init(key):
        keys = jax.random.split(key, 6)
        mix = input_weights(keys[2], input_size, hidden_size, gates=matrices)
        return MixtureGRUParams(
            w_ih=input_weights(keys[0], input_size, hidden_size, gates=2),
            w_hh=recurrent_weights(keys[1], hidden_size, gates=2),
            b=jnp.ones(2 * hidden_size),
            w_mix=mix.reshape(input_size, matrices, hidden_size).swapaxes(0, 1),
            w_weigh=input_weights(keys[3], input_size, matrices),
            u_weigh=input_weights(keys[4], hidden_size, matrices),
            b_weigh=jnp.zeros(matrices),
            w_candidate=recurrent_weights(keys[5], hidden_size),
            b_candidate=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size)

    def step(params, h, x):
        r, u = jnp.split(jax.nn.sigmoid(x @ params.w_ih + h @ params.w_hh + params.b), 2)
        k = jax.nn.softmax(x @ params.w_weigh + h @ params.u_weigh + params.b_weigh)
        mixed = k @ (x @ params.w_mix)
        n = jnp.tanh(mixed + (r * h) @ params.w_candidate + params.b_candidate)
        h = u * h + (1 - u) * n
        return h, h

    return Cell(init, init_carry, step)


class TwoSpeedParams(NamedTuple):
    """Columns in the order gate, candidate; `rate` before its sigmoid."""

    w_ih: Float[Array, "I 2*H"]
    w_slow: Float[Array, "H H"]
    w_fast: Float[Array, "H H"]
    b: Float[Array, " 2*H"]
    rate: Float[Array, " H"]


def two_speed(input_size: int, hidden_size: int) -> Cell:
    """A fast layer that is gated by a slow trace of itself; x [I] to fast [H].

        g = sigmoid(x W_g + slow W_s + b_g)
        fast' = tanh(x W_f + (g * fast) W_h + b_f)
        slow' = slow + sigmoid(rate) * (fast' - slow)

    The carry is (fast [H], slow [H]), zero at first. Made up for this comparison: nothing in it has
    been tuned for anybody.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_slow, key_fast = jax.random.split(key, 3)
        return TwoSpeedParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=2),
            w_slow=input_weights(key_slow, hidden_size, hidden_size),
            w_fast=recurrent_weights(key_fast, hidden_size),
            b=jnp.zeros(2 * hidden_size),
            rate=jnp.linspace(-4.0, 0.0, hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size), jnp.zeros(hidden_size)

    def step(params, carry, x):
        fast, slow = carry
        for_gate, for_fast = jnp.split(x @ params.w_ih + params.b, 2)
        gate = jax.nn.sigmoid(for_gate + slow @ params.w_slow)
        fast = jnp.tanh(for_fast + (gate * fast) @ params.w_fast)
        slow = slow + jax.nn.sigmoid(params.rate) * (fast - slow)
        return (fast, slow), fast

    return Cell(init, init_carry, step)


CUSTOM = {
    "layer-norm-lstm": layer_norm_lstm,
    "mixture-gru": mixture_gru,
    "two-speed": two_speed,
}
