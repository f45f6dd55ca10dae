"""The simple recurrent network."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_one_of, require_positive
from jaxrnn.cells.weights import input_weights, recurrent_weights

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}


class ElmanParams(NamedTuple):
    w_ih: Float[Array, "I H"]
    w_hh: Float[Array, "H H"]
    b: Float[Array, " H"]


def elman(input_size: int, hidden_size: int, activation: Literal["tanh", "relu"] = "tanh") -> Cell:
    """Simple recurrent network, tanh unless asked for relu; x [I] to h [H].

        h' = tanh(x W_ih + h W_hh + b)

    The carry is h [H], zero at first; the output is h'.

    Reference: Elman (1990), Finding Structure in Time, https://doi.org/10.1207/s15516709cog1402_1
    (tanh instead of the paper's logistic function, as is usual now).
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    require_one_of(ACTIVATIONS, activation=activation)
    act = ACTIVATIONS[activation]

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return ElmanParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            w_hh=recurrent_weights(key_recurrent, hidden_size),
            b=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b)

    def step(params, h, x):
        h = act(x @ params.w_ih + h @ params.w_hh + params.b)
        return h, h

    return Cell(init, init_carry, step)


def elman_relu(input_size: int, hidden_size: int) -> Cell:
    """`elman` with relu, h' = max(0, x W_ih + h W_hh + b); x [I] to h [H].

    The recurrent matrix begins orthogonal, so that h grows no faster than its inputs add up; Le et
    al. (2015), https://arxiv.org/abs/1504.00941, begin with the identity.
    """
    return elman(input_size, hidden_size, activation="relu")
