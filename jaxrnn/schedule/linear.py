"""carry' = a * carry + b for all time steps at once.

Reference: Blelloch (1990), "Prefix sums and their applications"; Martin and Cundy (2018),
https://arxiv.org/abs/1709.04057
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Size
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.reading import as_function


def run_linear(loop: Loop, weights: list, carry: list, streams: list, length: Size):
    """Like `run_loop`, of a loop that is linear; depth O(log T) instead of T."""
    inputs = [*loop.weights, *loop.carried, *loop.streams]
    step = as_function(loop.equations, inputs, loop.targets)
    (first,) = carry

    def coefficients(weights, streams):
        """The step is a * carry + b: b is its value at 0, a its derivative."""
        zero = jnp.zeros(first.shape[1:], first.dtype)
        b, a = jax.jvp(
            lambda carry: step(*weights, carry, *streams)[0], (zero,), (jnp.ones_like(zero),)
        )
        return a, b

    over_examples = jax.vmap(coefficients, in_axes=(None, 0), axis_size=first.shape[0])
    a, b = jax.vmap(over_examples, in_axes=(None, 0), axis_size=length)(weights, streams)

    def after(one, other):
        return other[0] * one[0], other[0] * one[1] + other[1]

    products, sums = lax.associative_scan(after, (a, b))
    new = products * first[None] + sums
    return [new[-1]], [new], []
