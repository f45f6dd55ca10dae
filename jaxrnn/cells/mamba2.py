"""The recurrence of Mamba-2."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, Key, require_positive
from jaxrnn.cells.heads import Eigenvalues, head_size, reaches_below_zero
from jaxrnn.cells.weights import input_weights

TIME_STEPS = (0.001, 0.1)
"""Between which delta begins."""


class Mamba2Params(NamedTuple):
    """Columns of `w_ih` in the order u (the heads one after another), B, C; one column of `w_delta`
    for each head. The decay A is behind a logarithm."""

    w_ih: Float[Array, "I H+2*S"]
    w_delta: Float[Array, "I N"]
    b_delta: Float[Array, " N"]
    a_log: Float[Array, " N"]
    d: Float[Array, " N"]


def mamba2(
    input_size: int,
    hidden_size: int,
    heads: int = 1,
    state_size: int = 16,
    eigenvalues: Eigenvalues = "[0, 1]",
) -> Cell:
    """Mamba-2's state space model; x [I] to y [H]. Of each head, D = H / heads, S = state_size:

        u, B, C = x W_u, x W_B, x W_C
        delta = softplus(x w_delta + b_delta)
        a = exp(-delta exp(a_log))
        h' = a h + (delta u) B^T
        y = h' C + d u

    With eigenvalues "[-1, 1]" it is 2 a - 1 in the place of a. The carry is h [heads, D, S], zero
    at first. B and C are the same for all heads; a, delta and d are one number for each. exp(a_log)
    begins between 1 and 16, evenly; delta about between 0.001 and 0.1, evenly in its logarithm; d
    at 1.

    Reference: Dao and Gu (2024), https://arxiv.org/abs/2405.21060, sections 2.1 and 7, with first
    values as in the authors' code (github.com/state-spaces/mamba), whose state_size is 128; its
    recurrence alone, without the short convolution and the SiLU before it and the gate and the
    normalisation behind it. Negative eigenvalues: Grazzi et al. (2024),
    https://arxiv.org/abs/2411.12537.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, state_size=state_size)
    size = head_size(hidden_size, heads)
    negative = reaches_below_zero(eigenvalues)

    def init(key):
        key_u, key_state, key_delta, key_bias, key_decay = jax.random.split(key, 5)
        from_x = [
            input_weights(key_u, input_size, hidden_size),
            input_weights(key_state, input_size, state_size, gates=2),
        ]
        return Mamba2Params(
            w_ih=jnp.concatenate(from_x, axis=1),
            w_delta=input_weights(key_delta, input_size, heads),
            b_delta=first_time_steps(key_bias, heads),
            a_log=jnp.log(jax.random.uniform(key_decay, (heads,), minval=1.0, maxval=16.0)),
            d=jnp.ones(heads),
        )

    def init_carry(params, key):
        return jnp.zeros((heads, size, state_size), params.d.dtype)

    def step(params, h, x):
        u, b, c = jnp.split(x @ params.w_ih, [hidden_size, hidden_size + state_size])
        delta = jax.nn.softplus(x @ params.w_delta + params.b_delta)
        a = jnp.exp(-delta * jnp.exp(params.a_log))
        a = 2 * a - 1 if negative else a

        def of_head(h, u, delta, a, d):
            h = a * h + jnp.outer(delta * u, b)
            return h, h @ c + d * u

        h, y = jax.vmap(of_head)(h, u.reshape(heads, size), delta, a, params.d)
        return h, y.ravel()

    return Cell(init, init_carry, step)


def first_time_steps(key: Key, heads: int) -> Float[Array, " N"]:
    """Biases whose softplus lies between TIME_STEPS, evenly in its logarithm."""
    low, high = (math.log(limit) for limit in TIME_STEPS)
    delta = jnp.exp(jax.random.uniform(key, (heads,), minval=low, maxval=high))
    return delta + jnp.log(-jnp.expm1(-delta))
