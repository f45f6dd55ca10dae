"""The closed-form continuous-time cell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class CfCParams(NamedTuple):
    """The shared layer; and of what reads it, columns in the order f, g, h."""

    w_ih: Float[Array, "I H"]
    w_hh: Float[Array, "H H"]
    b: Float[Array, " H"]
    w_heads: Float[Array, "H 3*H"]
    b_heads: Float[Array, " 3*H"]


def cfc(input_size: int, hidden_size: int, time_step: float = 1.0) -> Cell:
    """Closed-form continuous-time network; x [I] to h [H].

        s = 1.7159 tanh(0.666 (x W_x + h W_h + b))
        f, g, k = s W_* + b_*
        h' = sigmoid(-f t) * tanh(g) + (1 - sigmoid(-f t)) * tanh(k)

    t is `time_step`, the time from one x to the next: what h would be at once (g) goes over into
    what it comes to (k). The carry is h [H], zero at first; the output is h'.

    Reference: Hasani et al. (2022), https://arxiv.org/abs/2106.13898, where f, g and h (k here)
    share their first layers: here one of H units, with the activation of the authors' code
    (github.com/mlech26l/ncps), which has two matrices for f, one of them without t.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if not time_step > 0:
        raise ValueError(f"time_step is {time_step}; give a time above 0")

    def init(key):
        key_input, key_recurrent, key_heads = jax.random.split(key, 3)
        return CfCParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            w_hh=recurrent_weights(key_recurrent, hidden_size),
            b=jnp.zeros(hidden_size),
            w_heads=input_weights(key_heads, hidden_size, hidden_size, gates=3),
            b_heads=jnp.zeros(3 * hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b)

    def step(params, h, x):
        shared = 1.7159 * jnp.tanh(0.666 * (x @ params.w_ih + h @ params.w_hh + params.b))
        f, ends = jnp.split(shared @ params.w_heads + params.b_heads, [hidden_size])
        at_once, at_last = jnp.split(jnp.tanh(ends), 2)
        gone = jax.nn.sigmoid(-f * time_step)
        h = gone * at_once + (1 - gone) * at_last
        return h, h

    return Cell(init, init_carry, step)
