"""Symbols, a long pause, and at a signal all the symbols again."""

import math

import jax.numpy as jnp

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, integers, places


def copy(symbols: int = 10, values: int = 8) -> Task:
    """`symbols` of `values` kinds, blanks, a delimiter, and as many places to answer as there are
    symbols: with T blanks (the delimiter one of them) T + 20 time steps. Tokens: 0 is blank,
    1 to `values` the symbols, then the delimiter. Blanks, which anybody answers, are not scored.

    Reference: Arjovsky et al. (2016), https://arxiv.org/abs/1511.06464
    """
    require_positive(symbols=symbols, values=values)

    def draw(key, size, length):
        drawn, at = integers(key, (symbols,), 0, values), places(length)
        start = size - symbols
        padded = jnp.zeros(length, jnp.int32).at[:symbols].set(drawn + 1)
        inputs = jnp.where(at == start - 1, values + 1, padded)
        targets = drawn[jnp.clip(at - start, 0, symbols - 1)]
        return Example(inputs, targets, jnp.logical_and(at >= start, at < size))

    return deterministic(
        draw,
        reads=values + 2,
        answers=values,
        metric="accuracy",
        chance=constantly(1 / values),
        shortest=2 * symbols + 1,
        train_lengths=(2 * symbols + 20, 2 * symbols + 20),
        test_lengths=(2 * symbols + 20, 2 * symbols + 40, 2 * symbols + 80),
    )


def memoryless_loss(length: int, symbols: int = 10, values: int = 8) -> float:
    """Nats per time step, blanks counted too as the paper does, of who knows when to answer and
    nothing else: 10 ln 8 / (T + 20)."""
    return symbols * math.log(values) / length
