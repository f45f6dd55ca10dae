"""The coupled oscillatory recurrent network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights


class CoRNNParams(NamedTuple):
    """`w_hh` reads y, where the oscillators are, and `w_zh` reads z, how fast they move."""

    w_ih: Float[Array, "I H"]
    w_hh: Float[Array, "H H"]
    w_zh: Float[Array, "H H"]
    b: Float[Array, " H"]


class CoRNNCarry(NamedTuple):
    y: Float[Array, " H"]
    z: Float[Array, " H"]


def cornn(
    input_size: int,
    hidden_size: int,
    time_step: float = 0.5,
    gamma: float = 1.0,
    epsilon: float = 1.0,
) -> Cell:
    """coRNN; x [I] to y [H]. Of the oscillators

        y'' = tanh(y W_y + y' W_z + x V + b) - gamma y - epsilon y'

    where the dashes are derivatives, with those of the next time step equation 3 of the paper:

        z' = z + time_step (tanh(y W_y + z W_z + x V + b) - gamma y - epsilon z)
        y' = y + time_step z'

    The carry is (y [H], z [H]), zero at first; the output is y'.

    Reference: Rusch and Mishra (2021), https://arxiv.org/abs/2010.00951, with the damping at the
    time step before, as in the authors' code (github.com/tk-rusch/coRNN). There all three numbers
    are found for each task (time_step 0.042, gamma 2.7, epsilon 4.7 for sequences of 784 pixels):
    the smaller time_step is, the slower what was read fades, and the less of it is seen at once.
    Recurrent matrices begin orthogonal, in the authors' code uniform.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if not 0 < time_step <= 1:
        raise ValueError(f"time_step is {time_step}; give a number above 0 and up to 1")
    for name, number in (("gamma", gamma), ("epsilon", epsilon)):
        if not number >= 0:
            raise ValueError(f"{name} is {number}; give a number of at least 0")

    def init(key):
        key_input, key_y, key_z = jax.random.split(key, 3)
        return CoRNNParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            w_hh=recurrent_weights(key_y, hidden_size),
            w_zh=recurrent_weights(key_z, hidden_size),
            b=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return CoRNNCarry(y=jnp.zeros_like(params.b), z=jnp.zeros_like(params.b))

    def step(params, carry, x):
        y, z = carry
        force = jnp.tanh(x @ params.w_ih + y @ params.w_hh + z @ params.w_zh + params.b)
        z = z + time_step * (force - gamma * y - epsilon * z)
        y = y + time_step * z
        return CoRNNCarry(y, z), y

    return Cell(init, init_carry, step)
