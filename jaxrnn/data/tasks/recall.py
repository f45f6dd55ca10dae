"""Multi-query associative recall: pairs of a key and a value, and the keys once more."""

import jax
import jax.numpy as jnp

from jaxrnn.base import require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, integers, places


def recall(vocab_size: int = 64, spacing: int = 16) -> Task:
    """A pair to every `spacing` time steps, key and value next to each other at the beginning; then
    each key again once, at a drawn place among blanks, where its value is asked for. Tokens: 0 is
    blank, the lower half of the rest are keys, no two alike, and the upper half values.

    Deviation from the paper: places of the keys are drawn uniformly, not by a power law.

    Reference: Arora et al. (2023), https://arxiv.org/abs/2312.04927: vocabulary 8,192 and (T,
    pairs) of (64, 4), (128, 8) and (256, 16), which is a spacing of 16.
    """
    require_positive(vocab_size=vocab_size)
    if spacing < 3 or vocab_size < 4:
        raise ValueError(
            f"spacing is {spacing} and vocab_size {vocab_size}; give at least 3 and 4: a pair "
            "takes two places and its key one"
        )
    keys = (vocab_size - 1) // 2
    values = vocab_size - 1 - keys

    def draw(key, size, length):
        key_keys, key_values, key_places, key_order = jax.random.split(key, 4)
        room, at = min(max(length // spacing, 1), keys), places(length)
        pairs = jnp.clip(size // spacing, 1, room)
        names = 1 + jax.random.permutation(key_keys, places(keys))[:room]
        meant = integers(key_values, (room,), 0, values)
        spread = jax.random.uniform(key_places, (length,), jnp.float32)
        free = jnp.logical_and(at >= 2 * pairs, at < size)
        asked = jnp.argsort(jnp.where(free, spread, jnp.float32(2))).astype(jnp.int32)[:room]
        order = jax.random.uniform(key_order, (room,), jnp.float32)
        number = places(room)
        order = jnp.argsort(jnp.where(number < pairs, order, jnp.float32(2))).astype(jnp.int32)
        pair = jnp.clip(at // 2, 0, room - 1)
        told = jnp.where(at % 2 == 0, names[pair], 1 + keys + meant[pair])
        inputs = jnp.where(at < 2 * pairs, told, 0)
        # a pair that there is not is asked for behind the end, where `mode="drop"` leaves it
        asked = jnp.where(number < pairs, asked, length)
        inputs = inputs.at[asked].set(names[order], mode="drop")
        targets = jnp.zeros(length, jnp.int32).at[asked].set(meant[order], mode="drop")
        scored = jnp.zeros(length, bool).at[asked].set(True, mode="drop")
        return Example(inputs, targets, scored)

    return deterministic(
        draw,
        reads=vocab_size,
        answers=values,
        metric="accuracy",
        chance=constantly(1 / values),
        shortest=3,
        train_lengths=(64, 64),
        test_lengths=(64, 128, 256),
    )
