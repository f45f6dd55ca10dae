"""The gated recurrent unit whose candidate reads x through a mixture of matrices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class MixtureGRUParams(NamedTuple):
    """Columns of the gates in the order r, u; `w_mix` holds M matrices side by side, and the
    `weigh` leaves say how much of each."""

    w_ih: Float[Array, "I 2*H"]
    w_hh: Float[Array, "H 2*H"]
    b: Float[Array, " 2*H"]
    w_mix: Float[Array, "I M*H"]
    w_weigh: Float[Array, "I M"]
    u_weigh: Float[Array, "H M"]
    b_weigh: Float[Array, " M"]
    w_candidate: Float[Array, "H H"]
    b_candidate: Float[Array, " H"]


def mixture_gru(input_size: int, hidden_size: int, matrices: int = 5) -> Cell:
    """GRU whose candidate reads x through a mixture of matrices; x [I] to h [H].

        r, u = sigmoid(x W_i* + h W_h* + b_*)
        k = softmax(x W_k + h U_k + b_k)
        n = tanh(sum_m k_m x W_m + (r * h) U_n + b_n)
        h' = u * h + (1 - u) * n

    The carry is h [H], zero at first; the output is h'. The gates' biases begin at 1.

    Reference: the custom cell of R2RT, Recurrent Neural Networks in Tensorflow II (2016),
    https://r2rt.com/recurrent-neural-networks-in-tensorflow-ii.html
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, matrices=matrices)

    def init(key):
        keys = jax.random.split(key, 6)
        return MixtureGRUParams(
            w_ih=input_weights(keys[0], input_size, hidden_size, gates=2),
            w_hh=recurrent_weights(keys[1], hidden_size, gates=2),
            b=jnp.ones(2 * hidden_size),
            w_mix=input_weights(keys[2], input_size, hidden_size, gates=matrices),
            w_weigh=input_weights(keys[3], input_size, matrices),
            u_weigh=input_weights(keys[4], hidden_size, matrices),
            b_weigh=jnp.zeros(matrices),
            w_candidate=recurrent_weights(keys[5], hidden_size),
            b_candidate=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b_candidate)

    def step(params, h, x):
        r, u = jnp.split(jax.nn.sigmoid(x @ params.w_ih + h @ params.w_hh + params.b), 2)
        k = jax.nn.softmax(x @ params.w_weigh + h @ params.u_weigh + params.b_weigh)
        mixed = k @ (x @ params.w_mix).reshape(matrices, hidden_size)
        n = jnp.tanh(mixed + (r * h) @ params.w_candidate + params.b_candidate)
        h = u * h + (1 - u) * n
        return h, h

    return Cell(init, init_carry, step)
