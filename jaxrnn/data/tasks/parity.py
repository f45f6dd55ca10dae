"""Whether the number of ones so far is odd."""

import jax.numpy as jnp

from jaxrnn.base import draw_bernoulli
from jaxrnn.data.tasks.task import Example, Task, answered, constantly, deterministic


def parity(every: bool = True) -> Task:
    """Bits; the answer is the sum of those so far, modulo 2.

    Args:
      every: score every place, or as the papers do the last one alone.

    Reference: Deletang et al. (2022), https://arxiv.org/abs/2207.02098; Grazzi et al. (2024),
    https://arxiv.org/abs/2411.12537
    """

    def draw(key, size, length):
        bits = draw_bernoulli(key, 0.5, (length,)).astype(jnp.int32)
        return Example(bits, jnp.cumsum(bits, dtype=jnp.int32) % 2, answered(every, size, length))

    return deterministic(
        draw,
        reads=2,
        answers=2,
        metric="scaled accuracy",
        chance=constantly(1 / 2),
        shortest=1,
        train_lengths=(3, 40),
        test_lengths=(40, 80, 256),
    )
