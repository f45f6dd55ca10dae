"""One bit that is written, kept through whatever else is said, and read."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import draw_bernoulli
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, places

WRITE, READ, IGNORE = 2, 3, 4


def flip_flop(ignored: float = 0.8) -> Task:
    """Pairs of an instruction and a bit: write, ignore, read. The first pair writes, the last one
    reads, and those between ignore with a probability of `ignored`, else write or read. What is
    asked for, at each read, is the bit that was written last, which then follows. Tokens: the bits
    0 and 1, then write, read and ignore.

    Reference: Liu et al. (2023), https://arxiv.org/abs/2306.00946
    """
    if not 0 <= ignored <= 1:
        raise ValueError(f"ignored is {ignored}; give a probability from 0 to 1")

    def draw(key, size, length):
        key_kinds, key_bits = jax.random.split(key)
        count, pairs, at = length // 2 + 1, size // 2, places(length)
        number = places(count)
        coin = jax.random.uniform(key_kinds, (count,), jnp.float32)
        busy = jnp.where(coin < (1 + ignored) / 2, WRITE, READ)
        kinds = jnp.where(coin < ignored, IGNORE, busy).astype(jnp.int32)
        kinds = jnp.where(number == pairs - 1, READ, kinds).at[0].set(WRITE)
        bits = draw_bernoulli(key_bits, 0.5, (count,)).astype(jnp.int32)
        last = lax.cummax(jnp.where(kinds == WRITE, number, 0))
        held = bits[last]
        bits = jnp.where(kinds == READ, held, bits)
        pair = at // 2
        inputs = jnp.where(at % 2 == 0, kinds[pair], bits[pair])
        inside = jnp.logical_and(at % 2 == 0, pair < pairs)
        return Example(inputs, held[pair], jnp.logical_and(inside, inputs == READ))

    return deterministic(
        draw,
        reads=5,
        answers=2,
        metric="accuracy",
        chance=constantly(1 / 2),
        shortest=4,
        train_lengths=(64, 64),
        test_lengths=(64, 128, 256),
    )
