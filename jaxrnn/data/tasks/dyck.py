"""Which bracket has to close next."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import draw_bernoulli, require_positive
from jaxrnn.data.tasks.task import Example, Task, constantly, deterministic, integers, places


def dyck(kinds: int = 2, depth: int = 8) -> Task:
    """Brackets of several kinds, of which at most `depth` are open; where one may open or close,
    both are as probable. The answer, wherever one is open, is the kind of the innermost: the one
    that alone may close. Tokens: `kinds` opening brackets, then the closing ones.

    Reference: Hewitt et al. (2020), https://arxiv.org/abs/2010.07515, for Dyck-(k, m)
    """
    require_positive(kinds=kinds, depth=depth)

    def draw(key, size, length):
        key_kinds, key_open = jax.random.split(key)
        drawn = integers(key_kinds, (length,), 0, kinds)
        coins = draw_bernoulli(key_open, 0.5, (length,))

        def write(state, read):
            level, stack = state
            kind, coin = read
            opens = (level == 0) | (coin & (level < depth))
            top = stack[jnp.maximum(level - 1, 0)]
            token = jnp.where(opens, kind, kinds + top)
            place = jnp.minimum(level, depth - 1)
            stack = stack.at[place].set(jnp.where(opens, kind, stack[place]))
            level = level + jnp.where(opens, 1, -1).astype(jnp.int32)
            return (level, stack), (token, stack[jnp.maximum(level - 1, 0)], level > 0)

        begin = (jnp.zeros((), jnp.int32), jnp.zeros(depth, jnp.int32))
        _, (tokens, inner, is_open) = lax.scan(write, begin, (drawn, coins))
        return Example(tokens, inner, jnp.logical_and(is_open, places(length) < size))

    return deterministic(
        draw,
        reads=2 * kinds,
        answers=kinds,
        metric="accuracy",
        chance=constantly(1 / kinds),
        shortest=1,
        train_lengths=(40, 40),
        test_lengths=(40, 80, 256),
    )
