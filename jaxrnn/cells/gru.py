"""The gated recurrent unit."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_one_of, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class GRUParams(NamedTuple):
    """Columns in the order r, z, n. `b_hn` is inside the reset gate's product, `b` is outside."""

    w_ih: Float[Array, "I 3*H"]
    w_hh: Float[Array, "H 3*H"]
    b: Float[Array, " 3*H"]
    b_hn: Float[Array, " H"]


class GRUResetBeforeParams(NamedTuple):
    """Columns in the order r, z, n."""

    w_ih: Float[Array, "I 3*H"]
    w_hh: Float[Array, "H 3*H"]
    b: Float[Array, " 3*H"]


def gru(input_size: int, hidden_size: int, reset: Literal["after", "before"] = "after") -> Cell:
    """Gated recurrent unit, reset gate after the matmul unless asked for before; x [I] to h [H].

        r = sigmoid(x W_ir + h W_hr + b_r)
        z = sigmoid(x W_iz + h W_hz + b_z)
        n = tanh(x W_in + b_n + r * (h W_hn + b_hn))
        h' = (1 - z) * n + z * h

    The carry is h [H], zero at first; the output is h'.

    Reference: Cho et al. (2014), https://arxiv.org/abs/1406.1078; the paper resets before the
    matmul (`reset="before"`, see `gru_reset_before`), this is the form of cuDNN, PyTorch and Flax.
    """
    require_one_of(("after", "before"), reset=reset)
    if reset == "before":
        return gru_reset_before(input_size, hidden_size)
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return GRUParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=3),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=3),
            b=jnp.zeros(3 * hidden_size),
            b_hn=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b_hn)

    def step(params, h, x):
        from_x_gates, from_x = jnp.split(x @ params.w_ih + params.b, [2 * hidden_size])
        from_h_gates, from_h = jnp.split(h @ params.w_hh, [2 * hidden_size])
        r, z = jnp.split(jax.nn.sigmoid(from_x_gates + from_h_gates), 2)
        n = jnp.tanh(from_x + r * (from_h + params.b_hn))
        h = (1 - z) * n + z * h
        return h, h

    return Cell(init, init_carry, step)


def gru_reset_before(input_size: int, hidden_size: int) -> Cell:
    """Gated recurrent unit, reset gate before the matmul; x [I] to h [H].

        r = sigmoid(x W_ir + h W_hr + b_r)
        z = sigmoid(x W_iz + h W_hz + b_z)
        n = tanh(x W_in + (r * h) W_hn + b_n)
        h' = (1 - z) * n + z * h

    The carry is h [H], zero at first; the output is h'.

    Reference: Cho et al. (2014), https://arxiv.org/abs/1406.1078; Keras has it with
    `reset_after=False`.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return GRUResetBeforeParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=3),
            w_hh=recurrent_weights(key_recurrent, hidden_size, gates=3),
            b=jnp.zeros(3 * hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros(hidden_size, params.b.dtype)

    def step(params, h, x):
        w_gates, w_candidate = jnp.split(params.w_hh, [2 * hidden_size], axis=1)
        from_x_gates, from_x = jnp.split(x @ params.w_ih + params.b, [2 * hidden_size])
        r, z = jnp.split(jax.nn.sigmoid(from_x_gates + h @ w_gates), 2)
        n = jnp.tanh(from_x + (r * h) @ w_candidate)
        h = (1 - z) * n + z * h
        return h, h

    return Cell(init, init_carry, step)
