"""x @ w over the rows of all time steps, with the derivative that a CPU is fastest at.

Each product is as precise as the equation that it stands for: what a `precision=` in a step asks
for on a GPU or a TPU holds in the backward pass too.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.schedule.rules import Rule, apply_rule


def product_over_time(x: jax.Array, w: jax.Array, precision: Any) -> jax.Array:
    """x [T, B, I] @ w [I, O].

    A transposed copy of x in front of its product with the cotangent makes that product up to a
    quarter faster on a CPU than one that contracts the leading axes.
    """
    return apply_rule(_rule(precision), x, w)


@functools.cache
def _rule(precision: Any) -> Rule:
    def function(x, w):
        return _over_time(jnp.matmul(as_rows(x), w, precision=precision), x)

    def backward(args, kept, cotangent):
        if cotangent is None:
            return None, None
        x, w = args
        d = as_rows(cotangent)
        d_x = _over_time(jnp.matmul(d, w.T, precision=precision), x)
        return d_x, transposed_product(as_rows(x), d, precision)

    return Rule(function, lambda *args: (function(*args), ()), backward)


def as_rows(a: jax.Array) -> jax.Array:
    """[T, B, ...] as [T * B, ...]: large products are fastest as those of matrices.

    For products alone. An elementwise function that reads a value in both shapes is what XLA on
    a CPU may get wrong (`jaxrnn.schedule.linear.parallel`).
    """
    # no -1: a row may hold no numbers
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])


def _over_time(a: jax.Array, like: jax.Array) -> jax.Array:
    return a.reshape(*like.shape[:2], *a.shape[1:])


def transposed_product(x: jax.Array, d: jax.Array, precision: Any) -> jax.Array:
    """x [N, I] and d [N, O] to x.T @ d [I, O]."""
    return jnp.matmul(lax.optimization_barrier(x.T), d, precision=swapped(precision))


def product(a: jax.Array, b: jax.Array, turned: Literal["a", "b"] | None = None) -> jax.Array:
    """a [M, K] @ b [K, N]; turned is that of the two which is given with its axes exchanged.

    Neither this nor its derivatives contract the leading axes of both: at many small products of
    this kind XLA on a CPU takes twice as long.
    """
    return apply_rule(_PRODUCTS[turned], a, b)


def _product_rule(function: Any, backward_of_a: Any, backward_of_b: Any) -> Rule:
    def backward(args, kept, cotangent):
        if cotangent is None:
            return None, None
        return backward_of_a(*args, cotangent), backward_of_b(*args, cotangent)

    return Rule(function, lambda a, b: (function(a, b), ()), backward)


_PRODUCTS = {
    None: _product_rule(
        jnp.matmul, lambda a, b, d: product(d, b, "b"), lambda a, b, d: product(a, d, "a")
    ),
    "a": _product_rule(
        lambda a, b: transposed_product(a, b, None),
        lambda a, b, d: product(b, d, "b"),
        lambda a, b, d: product(a, d),
    ),
    "b": _product_rule(
        lambda a, b: a @ b.T, lambda a, b, d: product(d, b), lambda a, b, d: product(d, a, "a")
    ),
}


def swapped(precision: Any) -> Any:
    """A pair of them for factors in the other order; JAX has the cotangent first."""
    return precision[::-1] if isinstance(precision, tuple) else precision


def precision_of(equation: Any) -> Any:
    """What the step asks of a product: None, where it leaves that to JAX."""
    return equation.params["precision"]
