"""A string, and at a signal the string from its end."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.data.tasks.strings import rewritten
from jaxrnn.data.tasks.task import Task, places


def reversing(values: int = 2) -> Task:
    """The string from its end to its beginning. What is trained to 40 symbols has 81 time steps.

    Reference: Deletang et al. (2022), https://arxiv.org/abs/2207.02098
    """

    def backwards(symbols: Int[Array, " T"], count: Int[Array, ""]) -> Int[Array, " T"]:
        at = places(symbols.shape[0])
        return symbols[jnp.clip(count - 1 - at, 0, symbols.shape[0] - 1)]

    return rewritten(values, backwards)
