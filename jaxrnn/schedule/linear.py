"""carry' = a * carry + b for all time steps at once.

Reference: Blelloch (1990), "Prefix sums and their applications"; Martin and Cundy (2018),
https://arxiv.org/abs/1709.04057
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Size
from jaxrnn.jaxprs.equations import as_function
from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.rules import Rule, apply_rule
from jaxrnn.schedule.scanning import as_in_loop


def run_linear(loop: Loop, weights: list, carry: list, streams: list, length: Size):
    """Like `run_loop`, of a loop that is linear; depth O(log T) instead of T."""
    inputs = [*loop.weights, *loop.carried, *loop.streams]
    step = as_function(loop.equations, inputs, loop.targets)
    (first,) = carry

    def coefficients(weights, streams):
        """The step is a * carry + b: b is its value at 0, a its derivative."""
        zero = jnp.zeros(first.shape[1:], first.dtype)
        b, a = jax.jvp(
            lambda carry: step(*weights, carry, *streams)[0], (zero,), (jnp.ones_like(zero),)
        )
        return a, b

    over_examples = jax.vmap(coefficients, in_axes=(None, 0), axis_size=first.shape[0])
    over_time = jax.vmap(over_examples, in_axes=(None, 0), axis_size=length)
    a, b = as_in_loop(loop.equations, over_time)(weights, streams)
    new = linear_recurrence(vary_like(a, first), vary_like(b, first), first)
    return [new[-1]], [new], []


def linear_recurrence(
    a: jax.Array, b: jax.Array, first: jax.Array, *, reverse: bool = False
) -> jax.Array:
    """h_t = a_t * h_{t-1} + b_t elementwise, from h = `first`; with `reverse` the last time
    step comes first.

    The backward pass is such a recurrence too, in the other direction. That is not only less to
    keep than every level of the scan: what JAX makes of the levels is, on a CPU, where XLA may give
    a wrong result without a word (a value that is read in two shapes by one fused function, one of
    them at other places, is overwritten while it is read). The choice between the parallel form and
    the loop keeps the levels apart from the functions around them.

    Args:
      a, b: [T, ...].
      first: [...].

    Returns:
      h [T, ...]. Where the parallel form is not finite (a product of many a overflows, NaN lies
      before a reset) it is that of the loop, in which a = 0 cuts off whatever was before.
    """
    return apply_rule(_RULES[reverse], a, b, first)


def _function(reverse: bool, a, b, first):
    def after(one, other):
        return other[0] * one[0], other[0] * one[1] + other[1]

    products, sums = lax.associative_scan(after, (a, b), reverse=reverse)
    new = products * first[None] + sums
    return lax.cond(
        jnp.isfinite(new).all(), lambda: new, lambda: _one_after_another(reverse, a, b, first)
    )


def _one_after_another(reverse: bool, a, b, first):
    def body(carry, coefficients):
        a, b = coefficients
        carry = jnp.where(a == 0, b, a * carry + b)
        return carry, carry

    return lax.scan(body, first, (a, b), reverse=reverse)[1]


def _shifted(values: jax.Array, edge: jax.Array, reverse: bool) -> jax.Array:
    """At every time step the value of the one before it, in the direction of the recurrence."""
    if reverse:
        return jnp.concatenate([values[1:], edge[None]])
    return jnp.concatenate([edge[None], values[:-1]])


def _forward(reverse: bool, a, b, first):
    new = _function(reverse, a, b, first)
    return new, new


def _backward(reverse: bool, args, new, cotangent):
    a, _, first = args
    if cotangent is None:
        return None, None, None
    nothing = vary_like(jnp.zeros_like(first), first)
    onward = _shifted(a, nothing, not reverse)
    d = linear_recurrence(onward, cotangent, nothing, reverse=not reverse)
    edge = -1 if reverse else 0
    return d * _shifted(new, first, reverse), d, a[edge] * d[edge]


def _mapped(reverse: bool, args, axes, size):
    """Members lie beside each other: one choice between the two forms serves them all."""
    places = (1, 1, 0)
    args = [
        jnp.broadcast_to(jnp.expand_dims(a, place), (*a.shape[:place], size, *a.shape[place:]))
        if axis is None
        else jnp.moveaxis(a, axis, place)
        for a, axis, place in zip(args, axes, places, strict=True)
    ]
    return linear_recurrence(*args, reverse=reverse), 1


def _rule(reverse: bool) -> Rule:
    functions = (_function, _forward, _backward, _mapped)
    return Rule(*(functools.partial(function, reverse) for function in functions))


_RULES = {reverse: _rule(reverse) for reverse in (False, True)}
