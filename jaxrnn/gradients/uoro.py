"""Unbiased online recurrent optimisation."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxrnn.base import Cell, GradientEstimator, Key, Keys, Objective, Params, X, widest_float
from jaxrnn.gradients.online.estimator import Influence, online
from jaxrnn.gradients.sequence import carry_shapes, flat_floats, floats, with_floats, with_leaves
from jaxrnn.jaxprs.reach import leaves_that_reach
from jaxrnn.schedule.devices import vary_alike, vary_like
from jaxrnn.unroll import Schedule

# No cell counts its time steps this far, so the noise is drawn from a key that no cell draws from.
NOISE = np.uint32(2**32 - 1)
TINY = 1e-7


class RankOne(NamedTuple):
    """The influence as a product s w^T, one example's.

    Attributes:
      of_carry: s.
      of_params: w, in the shape of the leaves that reach the carry.
      key, step: the noise of the next time step is drawn from `fold_in(key, step)`.
    """

    of_carry: Float[Array, "*B C"]
    of_params: dict[int, Array]
    key: Key | Keys
    step: Int[Array, "*B"]


def uoro(
    cell: Cell, objective: Objective, *, x: X | None = None, schedule: Schedule = "auto"
) -> GradientEstimator:
    """`rtrl` with the influence J = I + D J of the last time step replaced by a random product of
    two vectors, whose mean over the random signs v [C] it is:

        s' = a D s + b v,    w' = w / a + (v^T I) / b,    J ~ s w^T

    with a^2 = |w| / |D s| and b^2 = |v^T I| / |v|, which make the noise small. Unbiased: the mean
    of the gradient over keys is that of `rtrl`; its variance grows with C, and with how long the
    cell remembers.

    Per time step and example, with C floats in the carry and P in the params that reach it:
    memory O(C + P), time that of one step forwards (for D s) and one backwards (for v^T I). Beside
    it a batch keeps its T carries.

    `schedule` is that of `unroll`. Give `x`, one time step of one example or its shape, where the
    cell takes other than a token, a number or a vector.

    Reference: Tallec and Ollivier (2017), https://arxiv.org/abs/1702.05043
    """

    def build(cell: Cell, params, x) -> Influence:
        reaching = _reaching(cell, params, x)
        dtype = widest_float(params)

        def signs(key, step, size):
            return jax.random.rademacher(jax.random.fold_in(key, step), (size,), dtype)

        def pulled(function, params, error):
            """v^T times the derivative of a carry to the leaves that reach it."""
            leaves = jax.tree.leaves(params)

            def of_some(some):
                return vary_like(flat_floats(function(with_leaves(params, some)), dtype), error)

            value, pull = jax.vjp(of_some, {leaf: leaves[leaf] for leaf in reaching})
            return pull(vary_like(error, value))[0]

        def start(params, key):
            noise = jax.random.fold_in(key, NOISE)
            size = flat_floats(cell.init_carry(params, key), dtype).size
            v = signs(noise, 0, size)
            of_params = pulled(lambda params: cell.init_carry(params, key), params, v)
            return RankOne(v, of_params, noise, jnp.int32(1))

        def advance(params, carry, x, influence: RankOne):
            moving = floats(carry)
            s, w = influence.of_carry, influence.of_params
            v = signs(influence.key, influence.step, s.size)

            def of_carry(moving):
                return flat_floats(cell.step(params, with_floats(carry, moving), x)[0], dtype)

            onward = _onward(of_carry, moving, _like(s, moving))
            immediate = pulled(lambda params: cell.step(params, carry, x)[0], params, v)
            a = jnp.sqrt((_norm(w) + TINY) / (_norm(onward) + TINY))
            b = jnp.sqrt((_norm(immediate) + TINY) / (_norm(v) + TINY))
            return RankOne(
                of_carry=a * onward + b * v,
                of_params=jax.tree.map(
                    lambda old, new: old / a.astype(old.dtype) + new / b.astype(new.dtype),
                    w,
                    immediate,
                ),
                key=influence.key,
                step=influence.step + 1,
            )

        def meet(errors, influence: RankOne):
            along = jnp.sum(errors.astype(dtype) * influence.of_carry, 1)
            return {
                leaf: jnp.einsum("b,b...->...", along.astype(w.dtype), w)
                for leaf, w in influence.of_params.items()
            }

        return Influence(start, advance, meet)

    return online("uoro", build, cell, objective, x, schedule)


def _reaching(cell: Cell, params: Params, x) -> list[int]:
    begun = leaves_that_reach(cell.init_carry, params, jax.eval_shape(lambda: jax.random.key(0)))
    carry = carry_shapes(cell, params)
    stepped = leaves_that_reach(lambda *given: cell.step(*given)[0], params, carry, x)
    return sorted({*begun, *stepped})


def _onward(function: Callable, moving: list[Array], s: list[Array]) -> Array:
    """D s. The transpose of the backward pass, and not `jax.jvp`: a step that declares its backward
    pass alone (`jax.custom_vjp`) has no other."""
    value, pull = jax.vjp(function, moving)
    # D^T is linear, so that it does not matter where its derivative is taken
    _, push = jax.vjp(lambda error: pull(error)[0], vary_like(jnp.zeros_like(value), value))
    return push(vary_alike((s, moving))[0])[0]


def _like(vector, floats):
    """The vector [C] in the shapes of the carry's floats."""
    ends = np.cumsum([a.size for a in floats])[:-1]
    parts = jnp.split(vector, ends) if floats else []
    return [p.reshape(a.shape).astype(a.dtype) for p, a in zip(parts, floats, strict=True)]


def _norm(tree):
    return jnp.sqrt(sum((jnp.sum(jnp.square(a)) for a in jax.tree.leaves(tree)), 0.0))
