"""Sums, differences and products of digits modulo 5, without brackets."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.task import Example, Task, answered, deterministic, integers, places

OPERATORS = "+-*"
MOST = 1_000
"""Operands beyond which the distribution of the value has long been what it stays."""


def modular_arithmetic(modulus: int = 5, every: bool = True) -> Task:
    """Digit, operator, digit, ...: 2 * 3 + 4 - 1. Products come first, as is usual. Tokens: the
    digits, then +, - and *; an answer is known at every digit.

    Args:
      modulus: how many digits there are.
      every: score every digit, or as the papers do the last one alone.

    Reference: Deletang et al. (2022), https://arxiv.org/abs/2207.02098; Grazzi et al. (2024),
    https://arxiv.org/abs/2411.12537
    """
    require_positive(modulus=modulus)

    def draw(key, size, length):
        key_digits, key_operators = jax.random.split(key)
        count, at = -(-length // 2), places(length)
        digits = integers(key_digits, (count,), 0, modulus)
        # what stands before a digit; before the first one it is a +
        operators = integers(key_operators, (count + 1,), 0, 3).at[0].set(0)
        none = jnp.zeros((), jnp.int32)
        _, values = lax.scan(partial(_add, modulus), (none, none), (operators[:count], digits))
        signs = modulus + operators[(at + 1) // 2]
        inputs = jnp.where(at % 2 == 0, digits[at // 2], signs)
        known = (size - 1) // 2 * 2 + 1  # up to the last digit
        scored = jnp.logical_and(answered(every, known, length), at % 2 == 0)
        return Example(inputs, values[at // 2], scored)

    return deterministic(
        draw,
        reads=modulus + 3,
        answers=modulus,
        metric="scaled accuracy",
        chance=partial(_chance, modulus, every),
        shortest=1,
        train_lengths=(3, 40),
        test_lengths=(40, 80, 256),
    )


def _add(modulus, state, read):
    """One operator and its digit: what is added up, and the product that may still go on."""
    total, term = state
    operator, digit = read
    times = operator == 2
    total = jnp.where(times, total, (total + term) % modulus)
    signed = jnp.where(operator == 1, -digit, digit)
    term = jnp.where(times, term * digit, signed) % modulus
    return (total, term), (total + term) % modulus


def _chance(modulus: int, every: bool, length: int) -> float:
    """Zero is the likeliest answer, by its products; exactly, from the distribution of the sum and
    the product that go on, moved from digit to digit."""
    count = min(-(-length // 2), MOST)
    digits = np.arange(modulus)
    state = np.zeros((modulus, modulus))  # P(total, term)
    state[0, 0] = 1.0
    found = []
    for number in range(count):
        new = np.zeros_like(state)
        for (total, term), probability in np.ndenumerate(state):
            closed = (total + term) % modulus
            for operator, part in enumerate((1, 0, 0) if number == 0 else (1 / 3,) * 3):
                share = probability * part / modulus
                if operator == 2:
                    np.add.at(new, (total, term * digits % modulus), share)
                else:
                    np.add.at(
                        new, (closed, (digits if operator == 0 else -digits) % modulus), share
                    )
        state = new
        values = np.zeros(modulus)
        np.add.at(values, np.add.outer(digits, digits) % modulus, state)
        found.append(values)
    answers = np.mean(found, axis=0) if every else found[-1]
    return float(answers.max())
