"""`lax.scan`, written out where there are few time steps; what stands outside as if inside."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Size
from jaxrnn.unstable import RULES_END_IN_SCANS

# Loops of up to so many time steps are written out: where a step is as small as the toy's, the
# loop's own bookkeeping counts (`python -m experiments.speed --case toy-step`).
SHORT = 8


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    xs: Any,
    length: Size,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    if not isinstance(length, int):  # a symbolic one, which xs alone may tell
        return lax.scan(body, start, xs, reverse=reverse)
    return lax.scan(body, start, xs, length=length, reverse=reverse, unroll=length <= SHORT)


def as_in_loop(equations: Iterable[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which runs `equations` outside the loop, with the second derivative that it has
    in the loop: of functions with a derivative of their own JAX treats the two differently, up to
    0.11."""
    if not any(e.primitive.name in RULES_END_IN_SCANS for e in equations):
        return function

    def inside(*args):
        # a loop of one time step, which XLA takes away; what it closes over JAX would take out
        leaves, tree = jax.tree.flatten(args)

        def body(carry, x):
            return carry, function(*jax.tree.unflatten(tree, x))

        _, out = lax.scan(body, (), [jnp.expand_dims(a, 0) for a in leaves], length=1)
        return jax.tree.map(lambda a: a[0], out)

    return inside
