"""A string, and at a signal its symbols in their order."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.data.tasks.strings import rewritten
from jaxrnn.data.tasks.task import Task, places


def sorting(values: int = 8) -> Task:
    """The symbols of the string from the smallest to the largest.

    Reference: bucket sort in Deletang et al. (2022), https://arxiv.org/abs/2207.02098
    """

    def ascending(symbols: Int[Array, " T"], count: Int[Array, ""]) -> Int[Array, " T"]:
        # what is not of the string goes behind it
        return jnp.sort(jnp.where(places(symbols.shape[0]) < count, symbols, values))

    return rewritten(values, ascending)
