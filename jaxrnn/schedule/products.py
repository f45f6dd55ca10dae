"""x @ w over the rows of all time steps, with the derivative that a CPU is fastest at."""

from typing import Any

import jax
from jax import lax
from jax.experimental.hijax import VJPHiPrimitive

from jaxrnn.schedule.symbolic import all_made, made


class RowProduct(VJPHiPrimitive):
    """x [N, I] @ w [I, O], N = T * B.

    A transposed copy of x in front of its product with the cotangent makes that product up to a
    quarter faster on a CPU than one that contracts the leading axes.
    """

    def __init__(self, x: Any, w: Any):
        self.in_avals = jax.typeof(x), jax.typeof(w)
        self.out_aval = jax.typeof(jax.eval_shape(lambda x, w: x @ w, x, w))
        self.params = {}
        super().__init__()

    def expand(self, *args):
        x, w = args
        return x @ w

    def jvp(self, primals, tangents):
        return jax.jvp(lambda x, w: x @ w, primals, all_made(tangents))

    def lin(self, nzs_in, *primals):
        return jax.linearize(self.expand, *primals)

    def linearized(self, residuals, *tangents):
        return residuals(*all_made(tangents))

    def batch_dim_rule(self, axis_data, dims):
        # asked also inside a vmap that maps neither
        return None if all(d is None for d in dims) else 0

    def vjp_fwd(self, nzs_in, /, *args):
        return self.expand(*args), args

    def vjp_bwd_retval(self, residuals, cotangent):
        x, w = residuals
        cotangent = made(cotangent)
        return cotangent @ w.T, transposed_product(x, cotangent)


def row_product(x: jax.Array, w: jax.Array) -> jax.Array:
    return RowProduct(x, w)(x, w)


def transposed_product(x: jax.Array, d: jax.Array) -> jax.Array:
    """x [N, I] and d [N, O] to x.T @ d [I, O]."""
    return lax.optimization_barrier(x.T) @ d
