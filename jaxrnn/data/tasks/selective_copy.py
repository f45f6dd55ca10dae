"""Symbols at drawn places among blanks, and at a signal all of them again in their order."""

import jax
import jax.numpy as jnp

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.copying import copied
from jaxrnn.data.tasks.task import Task, integers, places


def selective_copy(symbols: int = 8, values: int = 14) -> Task:
    """As `copy`, where the symbols lie anywhere before the delimiter: what is to be remembered
    shows in the input alone and not in the time. Tokens: 0 is blank, 1 to `values` the symbols,
    then the delimiter.

    Reference: Gu and Dao (2023), https://arxiv.org/abs/2312.00752, section 4.1.1: 16 symbols among
    4,096 places, of a vocabulary of 16.
    """
    require_positive(symbols=symbols, values=values)

    def lay(key, start, length):
        key_values, key_places = jax.random.split(key)
        drawn, at = integers(key_values, (symbols,), 0, values), places(length)
        order = jax.random.uniform(key_places, (length,), jnp.float32)
        order = jnp.where(at < start - 1, order, jnp.float32(2))
        chosen = jnp.sort(jnp.argsort(order)[:symbols])
        return drawn, jnp.zeros(length, jnp.int32).at[chosen].set(drawn + 1)

    return copied(lay, symbols, values, (8 * symbols, 16 * symbols, 32 * symbols))
