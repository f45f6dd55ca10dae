"""One answer for all examples and members, so that a choice stays a choice under `jax.vmap`.

`lax.cond` under `jax.vmap` works both ways out and selects, where each example answers for itself.
"""

import jax
import jax.numpy as jnp

from jaxrnn.schedule.rules import Rule, apply_rule


def all_agree(answers: jax.Array) -> jax.Array:
    """Whether all `answers`, booleans, are true: a scalar, the same for all that is mapped over."""
    return apply_rule(_ALL, answers)


_ALL = Rule(
    jnp.all,
    lambda answers: (jnp.all(answers), ()),
    lambda args, kept, cotangent: (None,),
    # wherever the members lie, they are answers like the others
    lambda args, axes, size: (all_agree(*args), None),
)
