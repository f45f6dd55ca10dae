"""The feed-forward network on the last few inputs."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.weights import input_weights


class FeedForwardParams(NamedTuple):
    w_ih: Float[Array, "N*I H"]
    b: Float[Array, " H"]


def feed_forward(input_size: int, hidden_size: int, context: int = 4) -> Cell:
    """A layer that sees the last N = `context` inputs and remembers nothing else; x [I] to h [H].

        h' = tanh([x_{t-N+1}, ..., x_t] W_ih + b)

    The carry is the last N - 1 inputs [N - 1, I], zero at first; the output is h'. Between an
    embedding and a softmax it is the n-gram network: what a recurrent cell must be better than.

    Reference: Bengio et al. (2003), https://www.jmlr.org/papers/v3/bengio03a.html, without the
    paper's direct connections from the embedding to the softmax.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, context=context)

    def init(key):
        return FeedForwardParams(
            w_ih=input_weights(key, context * input_size, hidden_size),
            b=jnp.zeros(hidden_size),
        )

    def init_carry(params, key):
        return jnp.zeros((context - 1, input_size), params.b.dtype)

    def step(params, before, x):
        seen = jnp.concatenate([before, x[None]])
        h = jnp.tanh(seen.ravel() @ params.w_ih + params.b)
        return seen[1:], h

    return Cell(init, init_carry, step)
