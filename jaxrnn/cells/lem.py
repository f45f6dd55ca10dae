"""Long expressive memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class LEMParams(NamedTuple):
    """Columns in the order 1, 2 (the time steps), z, y; those of `w_hh`, which reads y, end before
    the last, which `w_zh` has of z."""

    w_ih: Float[Array, "I 4*H"]
    w_hh: Float[Array, "H 3*H"]
    w_zh: Float[Array, "H H"]
    b: Float[Array, " 4*H"]


class LEMCarry(NamedTuple):
    y: Float[Array, " H"]
    z: Float[Array, " H"]


def lem(input_size: int, hidden_size: int, time_step: float = 1.0) -> Cell:
    """Long expressive memory; x [I] to y [H].

        d_1 = time_step sigmoid(y W_1 + x V_1 + b_1)
        d_2 = time_step sigmoid(y W_2 + x V_2 + b_2)
        z' = (1 - d_1) * z + d_1 * tanh(y W_z + x V_z + b_z)
        y' = (1 - d_2) * y + d_2 * tanh(z' W_y + x V_y + b_y)

    Each unit has time steps d_1 and d_2 of its own. The carry is (y [H], z [H]), zero at first; the
    output is y'.

    Reference: Rusch et al. (2022), https://arxiv.org/abs/2110.04744; recurrent matrices begin
    orthogonal, in the authors' code uniform.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if not 0 < time_step <= 1:
        raise ValueError(f"time_step is {time_step}; give a number above 0 and up to 1")

    def init(key):
        key_input, key_y, key_z = jax.random.split(key, 3)
        return LEMParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=4),
            w_hh=recurrent_weights(key_y, hidden_size, gates=3),
            w_zh=recurrent_weights(key_z, hidden_size),
            b=jnp.zeros(4 * hidden_size),
        )

    def init_carry(params, key):
        return LEMCarry(
            y=jnp.zeros(hidden_size, params.b.dtype), z=jnp.zeros(hidden_size, params.b.dtype)
        )

    def step(params, carry, x):
        y, z = carry
        first, last = jnp.split(x @ params.w_ih + params.b, [3 * hidden_size])
        for_steps, for_z = jnp.split(first + y @ params.w_hh, [2 * hidden_size])
        d_1, d_2 = jnp.split(time_step * jax.nn.sigmoid(for_steps), 2)
        z = (1 - d_1) * z + d_1 * jnp.tanh(for_z)
        y = (1 - d_2) * y + d_2 * jnp.tanh(last + z @ params.w_zh)
        return LEMCarry(y, z), y

    return Cell(init, init_carry, step)
