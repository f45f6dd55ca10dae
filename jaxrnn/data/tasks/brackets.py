"""Arithmetic modulo 5 with brackets: a value at the end of an expression."""

import math
from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.base import draw_bernoulli, require_positive
from jaxrnn.data.tasks.task import Draw, Example, Task, deterministic, integers, places

SAMPLE = 20_000
"""Expressions by which the likeliest value is counted."""


def modular_brackets(modulus: int = 5, depth: int = 8) -> Task:
    """(1 + 3) * 2 - (4 * (0 + 1)) =, with the answer asked for at the equals sign. Products come
    first, as is usual. Tokens: the digits, then +, -, *, (, ) and =.

    An expression is drawn from left to right: where a bracket may open, it does in 3 of 10 cases,
    where one may close in 5 of 10. No closed form is known for its value: chance is counted.
    Deviation from the paper: no sign before a number, and at most `depth` brackets are open.

    Reference: Deletang et al. (2022), https://arxiv.org/abs/2207.02098; Grazzi et al. (2024),
    https://arxiv.org/abs/2411.12537
    """
    require_positive(modulus=modulus, depth=depth)

    def draw(key, size, length):
        key_digits, key_operators, key_open, key_close = jax.random.split(key, 4)
        room = length - 1
        choices = (
            integers(key_digits, (room,), 0, modulus),
            integers(key_operators, (room,), 0, 3),
            draw_bernoulli(key_open, 0.3, (room,)),
            draw_bernoulli(key_close, 0.5, (room,)),
        )
        end = (size - 2) // 2 * 2 + 1  # an expression has an odd number of tokens
        zero = jnp.zeros((), jnp.int32)
        begin = (zero, jnp.ones((), bool), jnp.zeros((depth + 1, 3), jnp.int32))
        write = partial(_write, modulus, depth, end)
        (_, _, stack), tokens = lax.scan(write, begin, (places(room), *choices))
        at = places(length)
        tokens = jnp.append(tokens, jnp.int32(modulus + 5))
        inputs = jnp.where(at < end, tokens, jnp.where(at == end, modulus + 5, 0))
        value = (stack[0, 0] + stack[0, 1]) % modulus
        return Example(inputs, jnp.full(length, value), at == end)

    return deterministic(
        draw,
        reads=modulus + 6,
        answers=modulus,
        metric="scaled accuracy",
        chance=_counter(draw, modulus),
        shortest=2,
        train_lengths=(4, 40),
        test_lengths=(40, 80, 256),
    )


def _write(modulus, depth, end, state, drawn):
    """One token, and what it does to the stack of (sum, product that may go on, operator before the
    next number), one row for each open bracket and one below."""
    level, wanting, stack = state
    at, digit, operator, opens, closes = drawn
    left = end - at - 1  # tokens behind this one
    opens = wanting & opens & (level < depth) & (left >= level + 2)
    closes = ~wanting & (level > 0) & (closes | (left < level + 1))
    row, below = stack[level], stack[jnp.maximum(level - 1, 0)]
    number = jnp.where(closes, (row[0] + row[1]) % modulus, digit)
    lower = jnp.where(closes, below, row)
    goes_on = jnp.where(wanting | closes, _apply(modulus, lower, number), row.at[2].set(operator))
    new_level = level + opens.astype(jnp.int32) - closes.astype(jnp.int32)
    goes_on = jnp.where(opens, jnp.zeros(3, jnp.int32), goes_on)
    token = jnp.where(
        wanting,
        jnp.where(opens, modulus + 3, digit),
        jnp.where(closes, modulus + 4, modulus + operator),
    )
    new_wanting = jnp.where(wanting, opens, ~closes)
    inside = at < end
    new = (new_level, new_wanting, stack.at[new_level].set(goes_on))
    kept = jax.tree.map(lambda a, b: jnp.where(inside, a, b), new, state)
    return kept, token


def _apply(modulus, row, number):
    """A row of the stack behind its operator and a number."""
    total, term, operator = row
    times = operator == 2
    signed = jnp.where(operator == 1, -number, number)
    return jnp.stack(
        [
            jnp.where(times, total, (total + term) % modulus),
            jnp.where(times, term * number, signed) % modulus,
            operator,
        ]
    )


def _counter(draw: Draw, modulus: int) -> Callable[[int], float]:
    """How often the likeliest value of expressions of a length comes; lengths up to the same power
    of two are counted by one compiled program."""

    @partial(jax.jit, static_argnums=1)
    def values(size, room):
        keys = jax.random.split(jax.random.key(0), SAMPLE)
        return jax.vmap(lambda key: draw(key, size, room).targets[-1])(keys)

    @cache
    def counted(length: int) -> float:
        found = np.asarray(values(jnp.int32(length), 2 ** math.ceil(math.log2(max(length, 64)))))
        return float(np.bincount(found, minlength=modulus).max() / SAMPLE)

    return counted
