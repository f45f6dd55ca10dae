"""A string, and at a signal the string once more, rewritten."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, integers, places

Rewrite = Callable[[Int[Array, " T"], Int[Array, ""]], Int[Array, " T"]]
"""`(symbols, how many of them are the string) -> ` what is asked for."""


def rewritten(values: int, rewrite: Rewrite) -> Task:
    """n symbols, a delimiter, and n blanks at which the answer is asked for, 2 n + 1 time steps.
    Tokens: the symbols, the delimiter, the blank.

    Args:
      values: how many kinds of symbols there are.
      rewrite: keeps how many symbols of each kind there are.
    """
    require_positive(values=values)

    def draw(key, size, length):
        symbols, at = integers(key, (length,), 0, values), places(length)
        count = (size - 1) // 2
        signal = jnp.where(at == count, values, values + 1)
        inputs = jnp.where(at < count, symbols, signal)
        answer = rewrite(symbols, count)[jnp.clip(at - count - 1, 0, length - 1)]
        scored = jnp.logical_and(at > count, at <= 2 * count)
        return Example(inputs, jnp.minimum(answer, values - 1), scored)

    return deterministic(
        draw,
        reads=values + 2,
        answers=values,
        metric="accuracy",
        # of n symbols n / values are each kind in the mean, wherever they are put
        chance=constantly(1 / values),
        shortest=3,
        train_lengths=(3, 41),
        test_lengths=(41, 61, 81),
    )
