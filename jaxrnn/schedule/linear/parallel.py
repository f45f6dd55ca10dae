"""carry' = a * carry + b for all time steps at once; a block for each unit where several leaves of
the carry feed each other.

Reference: Blelloch (1990), "Prefix sums and their applications"; Martin and Cundy (2018),
https://arxiv.org/abs/1709.04057
"""

import functools
import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.base import Size
from jaxrnn.jaxprs.equations import as_function
from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.rules import Rule, apply_rule
from jaxrnn.schedule.scanning import as_in_loop
from jaxrnn.schedule.stages import Loop

Leaves = tuple[jax.Array, ...]
# By rows: what of each leaf goes into the new one.
Block = tuple[Leaves, ...]


def run_linear(loop: Loop, weights: list, carry: list, streams: list, length: Size):
    """Like `run_loop`, of a loop that is linear; depth O(log T) instead of T."""
    assert loop.linear is not None
    inputs = [*loop.weights, *loop.carried, *loop.streams]
    step = as_function(loop.equations, inputs, loop.targets)
    units = loop.linear.units
    shapes = [v.aval.shape for v in loop.carried]
    first = tuple(carry if units is None else _by_units(units, carry, 1))

    def coefficients(weights, streams):
        """The step is a * carry + b: b is its value at 0, a its derivative."""
        zeros = tuple(jnp.zeros(leaf.shape[1:], leaf.dtype) for leaf in first)

        def of_carry(*carry):
            if units is None:
                return tuple(step(*weights, *carry, *streams))
            new = step(*weights, *_as_leaves(units, carry, shapes), *streams)
            return _by_units(units, new, 0)

        pushed = [
            jax.jvp(of_carry, zeros, (*zeros[:i], jnp.ones_like(zero), *zeros[i + 1 :]))
            for i, zero in enumerate(zeros)
        ]
        return _transposed([column for _, column in pushed]), pushed[0][0]

    over_examples = jax.vmap(coefficients, in_axes=(None, 0), axis_size=first[0].shape[0])
    over_time = jax.vmap(over_examples, in_axes=(None, 0), axis_size=length)
    a, b = as_in_loop(loop.equations, over_time)(weights, streams)
    a, b = jax.tree.map(lambda each: vary_like(each, first[0]), (a, b))
    new = linear_recurrence(a, b, first)
    new = list(new) if units is None else _as_leaves(units, new, shapes)
    return [leaf[-1] for leaf in new], new, []


def _by_units(units: np.ndarray, leaves: Sequence[jax.Array], leading: int) -> Leaves:
    """The first number of each unit, the second, ...; behind so many leading axes."""
    flat = [leaf.reshape(*leaf.shape[:leading], -1) for leaf in leaves]
    together = jnp.concatenate(flat, -1)[..., units.T.ravel()]
    return tuple(jnp.split(together, units.shape[1], -1))


def _as_leaves(units: np.ndarray, numbers: Sequence[jax.Array], shapes) -> list[jax.Array]:
    """The other way round, leaves of these shapes behind the leading axes."""
    together = jnp.concatenate(numbers, -1)[..., np.argsort(units.T.ravel())]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    leaves = jnp.split(together, ends[:-1], -1)
    return [a.reshape(*a.shape[:-1], *s) for a, s in zip(leaves, shapes, strict=True)]


def linear_recurrence(a: Block, b: Leaves, first: Leaves, *, reverse: bool = False) -> Leaves:
    """h_t = a_t h_{t-1} + b_t, elementwise but for the leaves of h, from h = `first`; with
    `reverse` the last time step comes first.

    The backward pass is such a recurrence too, in the other direction. That is not only less to
    keep than every level of the scan: what JAX makes of the levels is, on a CPU, where XLA may give
    a wrong result without a word (a value that is read in two shapes by one fused function, one of
    them at other places, is overwritten while it is read). The choice between the parallel form and
    the loop keeps the levels apart from the functions around them.

    Args:
      a: rows of [T, ...], one for each leaf of h.
      b: leaves [T, ...].
      first: leaves [...].

    Returns:
      h, leaves [T, ...]. Where the parallel form is not finite (a product of many a overflows, NaN
      lies before a reset) it is that of the loop, in which a = 0 cuts off whatever was before.
    """
    return apply_rule(_RULES[reverse], a, b, first)


def _function(reverse: bool, a, b, first):
    def after(one, other):
        (a, b), (next_a, next_b) = one, other
        return _product(next_a, a), _sums(_applied(next_a, b), next_b)

    products, sums = lax.associative_scan(after, (a, b), reverse=reverse)
    new = _sums(_applied(products, tuple(leaf[None] for leaf in first)), sums)
    finite = [jnp.isfinite(leaf).all() for leaf in new]
    return lax.cond(
        functools.reduce(operator.and_, finite),
        lambda: new,
        lambda: _one_after_another(reverse, a, b, first),
    )


def _one_after_another(reverse: bool, a, b, first):
    def body(carry, coefficients):
        a, b = coefficients
        carry = _sums(_applied(a, carry, _times), b)
        return carry, carry

    return lax.scan(body, first, (a, b), reverse=reverse)[1]


def _times(a: jax.Array, h: jax.Array) -> jax.Array:
    return _cut_off(a, h, a * h)


def _cut_off(a: jax.Array, h: jax.Array, product: jax.Array) -> jax.Array:
    """A product with h, and 0 where a = 0 cuts off an h that is not finite."""
    return jnp.where((a == 0) & ~jnp.isfinite(h), 0, product)


def _applied(a: Block, h: Sequence[jax.Array], times=operator.mul) -> Leaves:
    return tuple(functools.reduce(operator.add, map(times, row, h)) for row in a)


def _product(a: Block, other: Block) -> Block:
    columns = [_applied(a, column) for column in _transposed(other)]
    return _transposed(columns)


def _transposed(a: Sequence[Leaves]) -> Block:
    return tuple(zip(*a, strict=True))


def _sums(one: Leaves, other: Leaves) -> Leaves:
    return tuple(map(operator.add, one, other))


def _shifted(values: jax.Array, edge: jax.Array, reverse: bool) -> jax.Array:
    """At every time step the value of the one before it, in the direction of the recurrence."""
    if reverse:
        return jnp.concatenate([values[1:], edge[None]])
    return jnp.concatenate([edge[None], values[:-1]])


def _forward(reverse: bool, a, b, first):
    new = _function(reverse, a, b, first)
    return new, new


def _backward(reverse: bool, args, new, cotangents):
    a, b, first = args
    if all(d is None for d in cotangents):
        return jax.tree.map(lambda _: None, args)
    cotangents = tuple(
        vary_like(jnp.zeros_like(leaf), leaf) if d is None else d
        for d, leaf in zip(cotangents, b, strict=True)
    )
    nothing = tuple(vary_like(jnp.zeros_like(leaf), leaf) for leaf in first)
    onward = jax.tree.map(lambda each: _shifted(each, nothing[0], not reverse), _transposed(a))
    d = linear_recurrence(onward, cotangents, nothing, reverse=not reverse)
    edge = -1 if reverse else 0
    before = [_shifted(h, leaf, reverse) for h, leaf in zip(new, first, strict=True)]
    d_a = tuple(
        tuple(_cut_off(of, h, each * h) for of, h in zip(row, before, strict=True))
        for row, each in zip(a, d, strict=True)
    )
    at_edge, d_edge = jax.tree.map(lambda each: each[edge], (_transposed(a), d))
    return d_a, d, _applied(at_edge, d_edge, _times)


def _mapped(reverse: bool, args, axes, size):
    """Members lie beside each other: one choice between the two forms serves them all."""

    def beside(place):
        def put(axis, a):
            if axis is None:
                return jnp.broadcast_to(
                    jnp.expand_dims(a, place), (*a.shape[:place], size, *a.shape[place:])
                )
            return jnp.moveaxis(a, axis, place)

        return put

    args = [
        jax.tree.map(beside(place), axis, a, is_leaf=lambda axis: axis is None)
        for a, axis, place in zip(args, axes, (1, 1, 0), strict=True)
    ]
    return linear_recurrence(*args, reverse=reverse), (1,) * len(args[1])


def _rule(reverse: bool) -> Rule:
    functions = (_function, _forward, _backward, _mapped)
    return Rule(*(functools.partial(function, reverse) for function in functions))


_RULES = {reverse: _rule(reverse) for reverse in (False, True)}
