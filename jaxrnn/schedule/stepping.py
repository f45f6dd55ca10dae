"""A time step of a loop for all examples at once, with large weights where a CPU wants them.

A product of a few rows with a large matrix takes little longer than packing that matrix does, and
XLA's products on a CPU pack what stands on the right, anew at every time step; what stands on the
left they read as it lies. So large weights stand on the left, transposed once before the loop, and
the rows are columns.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxrnn.schedule.products import precision_of
from jaxrnn.schedule.reading import as_function, is_product, is_variable, variables

# Weights that do not lie in a core's second cache, half a MB and more, and rows that are few but
# fill a vector: elsewhere nothing is gained (`python -m experiments.speed --case lstm gru`).
LARGE = 2**17
FEW, TOGETHER = 64, 8


def stands_left(weight: Any, batch_size: int) -> bool:
    """Whether rows [B, I] are multiplied with this weight [I, O] on their left, on a CPU."""
    few = batch_size <= FEW and batch_size % TOGETHER == 0
    return weight.dtype == "float32" and weight.size >= LARGE and few


def for_the_left(
    equations: Sequence[Any], held: Mapping[Any, ArrayLike], batch_size: int
) -> dict[Any, jax.Array]:
    """The transposes [O, I] of those weights among `held` that stand on the left of a product."""
    weights = variables(e.invars[1] for e in equations if is_product(e, held))
    # without the barrier XLA transposes again at every time step
    return {
        v: lax.optimization_barrier(jnp.transpose(held[v]))
        for v in weights
        if stands_left(held[v], batch_size)
    }


def over_batch(
    equations: Sequence[Any],
    held: Mapping[Any, ArrayLike],
    moving: Sequence[Any],
    outputs: Sequence[Any],
    left: Mapping[Any, jax.Array],
) -> Callable[[Sequence[jax.Array]], list[jax.Array]]:
    """The equations of one example as a function of the values [B, ...] of the variables `moving`.

    Args:
      held: variable to value, the same for each example.
      outputs: atoms; what the function gives, [B, ...].
      left: variable to transpose [O, I], of the weights among `held` that stand on the left.
    """

    def is_left(equation):
        return is_product(equation, held) and equation.invars[1] in left

    groups = [(each, list(part)) for each, part in itertools.groupby(equations, key=is_left)]
    parts, read = [], set(variables(outputs))
    for of_left, part in reversed(groups):
        # of a part only what is read behind it: fewer results, less to trace
        parts.insert(0, (of_left, part, [v for e in part for v in e.outvars if v in read]))
        read |= set(variables(v for e in part for v in e.invars))

    def apply(given):
        values = dict(zip(moving, given, strict=True))
        batch_size = given[0].shape[0]

        def mapped(part, made):
            inputs = variables([*(v for e in part for v in e.invars), *made])
            inputs = [v for v in inputs if v in values or v in held]
            axes = tuple(0 if v in values else None for v in inputs)
            function = jax.vmap(as_function(part, inputs, made), axes, axis_size=batch_size)
            return function(*(values[v] if v in values else held[v] for v in inputs))

        for of_left, part, made in parts:
            if of_left:
                for equation in part:
                    x, w = equation.invars
                    found = _product(values[x], held[w], left[w], precision_of(equation))
                    values[equation.outvars[0]] = found
            else:
                values |= dict(zip(made, mapped(part, made), strict=True))
        return [
            values[atom] if is_variable(atom) and atom in values else mapped([], [atom])[0]
            for atom in outputs
        ]

    return apply


def _product(x: jax.Array, w: ArrayLike, transposed: jax.Array, precision: Any) -> jax.Array:
    """x [B, I] @ w [I, O]; transposed [O, I]."""

    def on_a_cpu(x, w, transposed):
        columns = jnp.matmul(transposed, x.T, precision=precision)
        # without the barrier XLA puts the weight on the right again
        return lax.optimization_barrier(columns).T

    def elsewhere(x, w, transposed):
        return jnp.matmul(x, w, precision=precision)

    return lax.platform_dependent(x, w, transposed, cpu=on_a_cpu, default=elsewhere)
