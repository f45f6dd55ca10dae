"""A time step of a loop for all examples at once, its products as a CPU is fastest at them.

A product of a few rows with a large matrix takes little longer than packing that matrix does, and
XLA's products on a CPU pack what stands on the right, anew at every time step; what stands on the
left they read as it lies. So the large weights of x @ w stand on the left, transposed once before
the loop, and the rows are columns. A product with a tiny matrix takes less than starting it does:
written as a sum it becomes a part of the functions around it.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxrnn.base import Size
from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    as_function,
    is_product,
    is_variable,
    made_by,
    read_by,
    variables,
)
from jaxrnn.schedule.products import precision_of, product_over_time, swapped
from jaxrnn.schedule.scanning import as_in_loop
from jaxrnn.unstable import draws_depend_on_mapping

# Weights that do not lie in a core's second cache, half a MB and more, and rows that are few but
# fill a vector: elsewhere nothing is gained (`python -m experiments.speed --case lstm gru`). Inside
# `shard_map` the rows are those of one device, inside `vmap` those of one member.
LARGE = 2**17
FEW, TOGETHER = 64, 8
# Weights of so few numbers, and fewer multiplications than this in all: with more of either a
# product pays for being started (`python -m experiments.speed --case toy-step`).
TINY = 2**6
BRIEF = 2**12

# rows [B, I], weight [I, O], precision to [B, O]
Product = Callable[[jax.Array, ArrayLike, Any], jax.Array]


def place(weight: Any, batch_size: Size) -> Literal["left", "summed"] | None:
    """Where a CPU has a weight [I, O], an array or its shape, that rows [B, I] are multiplied with;
    None for as it is written: other types were not measured, and a symbolic batch may be any."""
    if weight.dtype != "float32" or not isinstance(batch_size, int):
        return None
    if weight.size <= TINY and batch_size * weight.size < BRIEF:
        return "summed"
    few = batch_size <= FEW and batch_size % TOGETHER == 0
    return "left" if weight.size >= LARGE and few else None


def products_of(
    equations: Sequence[Equation],
    held: Mapping[Variable, ArrayLike],
    batch_size: Size,
    transposes: Mapping[Variable, ArrayLike] = MappingProxyType({}),
) -> dict[Variable, Product]:
    """How a CPU multiplies with those weights among `held`, by variable, that it has in another
    place. Their transposes [O, I] are made, once, where `transposes` has none."""

    def transposed(v):
        # where the loop is written out XLA would transpose again at every time step
        return lax.optimization_barrier(jnp.transpose(held[v]))

    ways: dict[Variable, Product] = {}
    for v in variables(e.invars[1] for e in equations if is_product(e, held)):
        where = place(v.aval, batch_size)
        if where == "left":
            w = transposes[v] if v in transposes else transposed(v)
            ways[v] = functools.partial(_on_cpu, functools.partial(_on_the_left, w))
        elif where == "summed":
            ways[v] = functools.partial(_on_cpu, _summed)
    return ways


def over_batch(
    equations: Sequence[Equation],
    held: Mapping[Variable, ArrayLike],
    moving: Sequence[Variable],
    outputs: Sequence[Atom],
    ways: Mapping[Variable, Product],
) -> Callable[[Sequence[jax.Array]], list[jax.Array]]:
    """The equations of one example as a function of the values [B, ...] of the variables `moving`.

    Args:
      held: variable to value, the same for each example.
      outputs: atoms; what the function gives, [B, ...].
      ways: how to multiply with those weights among `held` that are not multiplied with as written.
    """

    def mapped(stretch, values):
        over_examples, given, _ = _over_examples(stretch, values, held, values[moving[0]].shape[0])
        return over_examples(*given)

    return _in_stretches(equations, held, moving, outputs, ways, mapped)


def over_time(
    equations: Sequence[Equation],
    held: Mapping[Variable, ArrayLike],
    moving: Sequence[Variable],
    outputs: Sequence[Atom],
) -> Callable[[Sequence[jax.Array]], list[jax.Array]]:
    """Like `over_batch`, of values [T, B, ...] of all time steps at once.

    What draws from keys whose draws depend on what is mapped is done for one time step after
    another, as the plain loop does it.
    """

    def mapped(stretch, values):
        length, batch_size = values[moving[0]].shape[:2]
        over_examples, given, axes = _over_examples(stretch, values, held, batch_size)
        if stretch.kind == "draw":
            varying = {
                i: a for i, (a, axis) in enumerate(zip(given, axes, strict=True)) if axis == 0
            }
            return lax.map(
                lambda now: over_examples(*(now.get(i, a) for i, a in enumerate(given))), varying
            )
        everywhere = jax.vmap(over_examples, axes, axis_size=length)
        return as_in_loop(stretch.equations, everywhere)(*given)

    products = variables(e.invars[1] for e in equations if is_product(e, held))
    ways = dict.fromkeys(products, product_over_time)
    return _in_stretches(equations, held, moving, outputs, ways, mapped)


Kind = Literal["product", "draw", "mapped"]


class _Stretch(NamedTuple):
    """Equations one behind another that are run in one way, and what is read of them behind."""

    kind: Kind
    equations: list[Equation]
    made: list[Atom]


def _in_stretches(equations, held, moving, outputs, ways, mapped):
    """The equations as a function of the values of `moving`: products that have a way of their own
    by themselves, and each stretch between them by `mapped`."""

    def kind(equation) -> Kind:
        if is_product(equation, held) and equation.invars[1] in ways:
            return "product"
        return "draw" if _draws(equation) else "mapped"

    stretches, read = [], set(variables(outputs))
    for _, group in reversed([(what, list(g)) for what, g in itertools.groupby(equations, kind)]):
        # only what is read behind it: fewer results, less to trace
        made = [v for v in made_by(group) if v in read]
        stretches.insert(0, _Stretch(kind(group[0]), group, made))
        read |= set(read_by(group))

    def apply(given):
        values = dict(zip(moving, given, strict=True))
        for stretch in stretches:
            if stretch.kind == "product":
                for equation in stretch.equations:
                    x, w = equation.invars
                    found = ways[w](values[x], held[w], precision_of(equation))
                    values[equation.outvars[0]] = found
            else:
                values |= dict(zip(stretch.made, mapped(stretch, values), strict=True))
        return [
            values[atom]
            if is_variable(atom) and atom in values
            else mapped(_Stretch("mapped", [], [atom]), values)[0]
            for atom in outputs
        ]

    return apply


def _over_examples(stretch, values, held, batch_size):
    """A stretch for all examples, the values that it reads or hands on, and over which axis each is
    mapped."""
    read = read_by(stretch.equations, stretch.made)
    inputs = [v for v in read if v in values or v in held]
    axes = tuple(0 if v in values else None for v in inputs)
    function = as_function(stretch.equations, inputs, stretch.made)
    given = [values[v] if v in values else held[v] for v in inputs]
    return jax.vmap(function, axes, axis_size=batch_size), given, axes


def _draws(equation: Equation) -> bool:
    return any(draws_depend_on_mapping(v.aval) for v in equation.invars) or (
        equation.primitive.name == "rng_bit_generator"
    )


def _on_cpu(way: Product, x: jax.Array, w: ArrayLike, precision: Any) -> jax.Array:
    return lax.platform_dependent(
        x,
        w,
        cpu=lambda x, w: way(x, w, precision),
        default=lambda x, w: jnp.matmul(x, w, precision=precision),
    )


def _on_the_left(transposed: ArrayLike, x: jax.Array, w: ArrayLike, precision: Any) -> jax.Array:
    columns = jnp.matmul(transposed, x.T, precision=swapped(precision))
    # without the barrier XLA puts the weight on the right again
    return lax.optimization_barrier(columns).T


def _summed(x: jax.Array, w: ArrayLike, precision: Any) -> jax.Array:
    return (x[:, :, None] * jnp.asarray(w)[None]).sum(1)
