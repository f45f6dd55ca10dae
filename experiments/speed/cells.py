"""Three cells that no library has a kernel for: two of ours, and one written as a researcher writes
it first."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells import layer_norm_lstm, mixture_gru
from jaxrnn.cells.weights import input_weights, recurrent_weights


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
