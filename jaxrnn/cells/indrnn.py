"""The independently recurrent network."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_one_of, require_positive
from jaxrnn.cells.weights import input_weights

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "linear": lambda z: z}


class IndRNNParams(NamedTuple):
    w_ih: Float[Array, "I H"]
    u: Float[Array, " H"]
    b: Float[Array, " H"]


def indrnn(
    input_size: int, hidden_size: int, activation: Literal["relu", "tanh", "linear"] = "relu"
) -> Cell:
    """Independently recurrent network: every unit remembers itself alone; x [I] to h [H].

        h' = relu(x W_ih + u * h + b)

    The carry is h [H], zero at first; the output is h'. Each u is drawn evenly from 0 to 1, so that
    units begin with memories of every length and none explodes, however long the sequence. Whoever
    trains on T time steps keeps |u| below 2**(1/T), as the paper does.

    Reference: Li et al. (2018), https://arxiv.org/abs/1803.04831. "linear" leaves relu away: then
    all time steps can be worked out in parallel.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    require_one_of(ACTIVATIONS, activation=activation)
    act = ACTIVATIONS[activation]

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        return IndRNNParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            u=jax.random.uniform(key_recurrent, (hidden_size,)),
            b=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b)

    def step(params, h, x):
        h = act(x @ params.w_ih + params.u * h + params.b)
        return h, h

    return Cell(init, init_carry, step)
