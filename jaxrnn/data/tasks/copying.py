"""Symbols, a long pause, and at a signal all the symbols again."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import Key, require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, integers, places

Laid = Callable[[Key, Int[Array, ""], int], tuple[Int[Array, " S"], Int[Array, " T"]]]
"""`(key, place of the first answer, length) -> ` the symbols drawn, from 0, and the places of a
sequence with these, from 1, among blanks before the delimiter."""


def copy(symbols: int = 10, values: int = 8) -> Task:
    """`symbols` of `values` kinds, blanks, a delimiter, and as many places to answer as there are
    symbols: with T blanks (the delimiter one of them) T + 20 time steps. Tokens: 0 is blank,
    1 to `values` the symbols, then the delimiter. Blanks, which anybody answers, are not scored.

    Reference: Arjovsky et al. (2016), https://arxiv.org/abs/1511.06464
    """
    require_positive(symbols=symbols, values=values)

    def lay(key, start, length):
        drawn = integers(key, (symbols,), 0, values)
        return drawn, jnp.zeros(length, jnp.int32).at[:symbols].set(drawn + 1)

    lengths = (2 * symbols + 20, 2 * symbols + 40, 2 * symbols + 80)
    return copied(lay, symbols, values, lengths)


def copied(lay: Laid, symbols: int, values: int, lengths: tuple[int, ...]) -> Task:
    """The task of a delimiter behind what is laid, and all the symbols in their order as answers;
    trained at the first of the lengths."""

    def draw(key, size, length):
        at, start = places(length), size - symbols
        drawn, padded = lay(key, start, length)
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
        train_lengths=(lengths[0], lengths[0]),
        test_lengths=lengths,
    )


def memoryless_loss(length: int, symbols: int = 10, values: int = 8) -> float:
    """Nats per time step, blanks counted too as the paper does, of who knows when to answer and
    nothing else: 10 ln 8 / (T + 20)."""
    return symbols * math.log(values) / length
