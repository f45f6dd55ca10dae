"""Cells that compute in fewer bits than their params have."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxrnn.compose import computing_in
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.laws.comparing import (
    LawBroken,
    leaf_name,
    named_floats,
    random_projection,
    require_close,
    require_same_type,
)
from jaxrnn.laws.derivatives import Point
from jaxrnn.laws.subject import Subject, initial_carries
from jaxrnn.unroll import unroll

# bfloat16 keeps 8 bits, so a number is off by up to 2**-9 of itself. Some of these meet in a sum,
# and a few time steps in the carry.
ROUNDING = 0.02
# A gradient adds up what every time step and example contributes.
GRADIENT_ROUNDING = 0.05


def computes_in_bfloat16(subject: Subject) -> None:
    """In bfloat16 the cell gives the outputs, carries and gradients of float32, as far as 8 bits
    reach; y is float32 and gradients are of the type of params. A complex carry stays as
    it is.

    Of params that bfloat16 can hold: how far a cell moves with its params (a phase that every time
    step adds up, for one) is no matter of how it computes."""
    cells = subject.cell, computing_in(subject.cell, jnp.bfloat16)
    floats, rebuild = named_floats(Point(_rounded(subject.params), None, subject.xs))

    def projected(cell, floats):
        params, _, xs = rebuild(floats)
        start = initial_carries(cell, params, subject.keys)
        result = unroll(cell, params, start, xs, schedule="scan")
        return random_projection(result, seed=1), (start, result)

    def of_both(floats):
        return [
            jax.value_and_grad(partial(projected, cell), has_aux=True)(floats) for cell in cells
        ]

    # one program: to compile takes most of the time
    ((_, (_, full)), full_grads), ((_, (carry, result)), grads) = jax.jit(of_both)(floats)
    require_same_type("carry", carry, result[0])
    for path, leaf in jax.tree.leaves_with_path(result):
        wanted = jnp.bfloat16 if path[0].idx == 0 else jnp.float32
        # there is no complex number of two bfloat16
        if is_float(leaf) and not jnp.iscomplexobj(leaf) and leaf.dtype != wanted:
            raise LawBroken(f"{leaf_name('(carry, ys)', path)} is {leaf.dtype}, not {wanted.dtype}")
    require_same_type("params", full_grads, grads)
    require_close("(carry, ys)", ("bfloat16", result), ("float32", full), ROUNDING)
    require_close("gradient ", ("bfloat16", grads), ("float32", full_grads), GRADIENT_ROUNDING)


def _rounded(params):
    def through_bfloat16(leaf):
        real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(jnp.bfloat16).astype(leaf.dtype) if real else leaf

    return jax.tree.map(through_bfloat16, params)
