"""Numbers of which two are marked; the answer is their sum."""

import jax
import jax.numpy as jnp

from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, places


def adding() -> Task:
    """Inputs (number in [0, 1), mark): one mark in the first half, one in the second. Who always
    answers 1 has a squared error of 2/12, the variance of the sum of two such numbers.

    Reference: Hochreiter and Schmidhuber (1997), https://doi.org/10.1162/neco.1997.9.8.1735, as
    Arjovsky et al. (2016) have it, https://arxiv.org/abs/1511.06464
    """
    variance = 1 / 3 - (1 / 2) ** 2  # of a number in [0, 1): E[x^2] - E[x]^2

    def draw(key, size, length):
        key_numbers, key_first, key_second = jax.random.split(key, 3)
        numbers = jax.random.uniform(key_numbers, (length,), jnp.float32)
        first = jax.random.randint(key_first, (), 0, size // 2, jnp.int32)
        second = jax.random.randint(key_second, (), size // 2, size, jnp.int32)
        at = places(length)
        marks = jnp.logical_or(at == first, at == second).astype(jnp.float32)
        total = numbers[first] + numbers[second]
        return Example(
            jnp.stack([numbers, marks], -1), jnp.full((length, 1), total), at == size - 1
        )

    return deterministic(
        draw,
        reads=2,
        answers=1,
        metric="mean squared error",
        chance=constantly(2 * variance),
        shortest=2,
        train_lengths=(50, 50),
        test_lengths=(50, 100, 200),
    )
