"""Induction heads: what stood behind the special token when it came before?"""

import jax
import jax.numpy as jnp

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, integers, places


def induction(vocab_size: int = 16) -> Task:
    """Tokens, among them the special one at a drawn place and again at the end: the answer is the
    token that followed it.

    Reference: Gu and Dao (2023), https://arxiv.org/abs/2312.00752, section 4.1.2: vocabulary 16,
    trained at length 256 and tested from 64 to 1,048,576.
    """
    require_positive(vocab_size=vocab_size)

    def draw(key, size, length):
        key_tokens, key_place = jax.random.split(key)
        tokens, at = integers(key_tokens, (length,), 0, vocab_size), places(length)
        place = jax.random.randint(key_place, (), 0, size - 2, jnp.int32)
        special = jnp.logical_or(at == place, at == size - 1)
        inputs = jnp.where(special, vocab_size, tokens)
        return Example(inputs, jnp.full(length, tokens[place + 1]), at == size - 1)

    return deterministic(
        draw,
        reads=vocab_size + 1,
        answers=vocab_size,
        metric="accuracy",
        chance=constantly(1 / vocab_size),
        shortest=3,
        train_lengths=(64, 64),
        test_lengths=(64, 128, 256),
    )
