"""h_t = A_t h_(t-1) + b_t for all time steps at once, A_t a matrix or many small ones.

A single number is a matrix of size 1. There is nothing before the first time step (h = 0), so the
first A plays no part.
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.linear.affine import MOST
from jaxrnn.schedule.rules import Rule, apply_rule


def recurrence(a: jax.Array, b: jax.Array, *, reverse: bool = False) -> jax.Array:
    """h [T, ..., K] of a [T, ..., K, K] and b [T, ..., K]; with `reverse` the last time step comes
    first. Where the parallel form is not finite it is that of the loop, in which a = 0 cuts off
    whatever was before."""
    return apply_rule(_RULES[reverse], a, b)


def in_parallel(a: jax.Array, b: jax.Array, *, reverse: bool = False) -> jax.Array:
    """The same by an associative scan alone, finite or not."""

    def after(one, other):
        (a, b), (next_a, next_b) = one, other
        return _product(next_a, a), _applied(next_a, b) + next_b

    # the levels are kept apart from the functions around them, which read what they read in other
    # shapes: see `jaxrnn.schedule.linear.parallel`
    a, b = lax.optimization_barrier((a, b))
    _, new = lax.associative_scan(after, (a, b), reverse=reverse)
    return lax.optimization_barrier(new)


def _product(a: jax.Array, other: jax.Array) -> jax.Array:
    size = a.shape[-1]
    if size > MOST:
        return jnp.matmul(a, other, precision="highest")
    # sums become a part of the functions around them, where to start tiny products takes longer
    columns = (a[..., :, j, None] * other[..., j, None, :] for j in range(size))
    return functools.reduce(operator.add, columns)


def _applied(a: jax.Array, h: jax.Array) -> jax.Array:
    return _product(a, h[..., None])[..., 0]


def _function(reverse: bool, a, b):
    new = in_parallel(a, b, reverse=reverse)
    return lax.cond(jnp.isfinite(new).all(), lambda: new, lambda: _one_after_another(reverse, a, b))


def _one_after_another(reverse: bool, a, b):
    def body(h, coefficients):
        a, b = coefficients
        h = jnp.where(a == 0, 0, a * h[..., None, :]).sum(-1) + b
        return h, h

    return lax.scan(body, vary_like(jnp.zeros_like(b[0]), b), (a, b), reverse=reverse)[1]


def shifted(values: jax.Array, edge: jax.Array, reverse: bool = False) -> jax.Array:
    """At every time step the value of the one before it, in the direction of the recurrence."""
    if reverse:
        return jnp.concatenate([values[1:], edge[None]])
    return jnp.concatenate([edge[None], values[:-1]])


def _before(reverse: bool, new: jax.Array) -> jax.Array:
    return shifted(new, jnp.zeros_like(new[0]), reverse)


def _forward(reverse: bool, a, b):
    return (new := recurrence(a, b, reverse=reverse)), new


def _backward(reverse: bool, args, new, cotangent):
    a, _ = args
    if cotangent is None:
        return None, None
    d = recurrence(transposed(a, reverse), cotangent, reverse=not reverse)
    return d[..., :, None] * _before(reverse, new)[..., None, :], d


def transposed(a: jax.Array, reverse: bool = False) -> jax.Array:
    """The matrices of the recurrence that goes back through this one."""
    return _before(not reverse, a.mT)


def _tangent(reverse: bool, args, new, tangents):
    a, b = args
    d_a, d_b = tangents
    source = jnp.zeros_like(b) if d_b is None else d_b
    if d_a is not None:
        source = source + _applied(d_a, _before(reverse, new))
    return recurrence(a, source, reverse=reverse)


def _mapped(reverse: bool, args, axes, size):
    """Members lie behind the time steps: one choice between the two forms serves them all."""

    def put(axis, a):
        if axis is None:
            return jnp.broadcast_to(a[:, None], (a.shape[0], size, *a.shape[1:]))
        return jnp.moveaxis(a, axis, 1)

    return recurrence(*map(put, axes, args), reverse=reverse), 1


def _rule(reverse: bool) -> Rule:
    functions = (_function, _forward, _backward, _mapped, _tangent)
    return Rule(*(functools.partial(function, reverse) for function in functions))


_RULES = {reverse: _rule(reverse) for reverse in (False, True)}
