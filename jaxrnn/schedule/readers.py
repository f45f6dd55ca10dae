"""The equations of a loop that read a weight: what its gradient needs of every time step."""

from typing import Any, NamedTuple

import jax

from jaxrnn.schedule.devices import struct_of
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.reading import as_function, flatten, is_float, is_product, needed, variables


class Reader(NamedTuple):
    """An equation that reads a weight, with what its weight's gradient needs.

    Attributes:
      equation: of the loop.
      weights: learnt variables, the same at every time step.
      rows: variables of the time step without which the gradient cannot be formed.
      product: whether it is `x @ w` with x [I] and w [I, O].
    """

    equation: Any
    weights: list[Any]
    rows: list[Any]
    product: bool


def find_readers(loop: Loop) -> list[Reader]:
    fixed = set(loop.weights)
    readers = []
    for equation in loop.equations:
        weights = [v for v in variables(equation.invars) if v in loop.learnt]
        if weights and any(is_float(v.aval) for v in equation.outvars):
            product = is_product(equation, fixed)
            rows = [equation.invars[0]] if product else _rows_needed(equation, weights, fixed)
            readers.append(Reader(equation, weights, rows, product))
    return readers


def _rows_needed(equation: Any, weights: list[Any], fixed: set[Any]) -> list[Any]:
    """Which of the varying inputs the gradient of its weights reads."""
    inputs = variables(equation.invars)
    outputs = [v for v in equation.outvars if is_float(v.aval)]
    apply = as_function([equation], inputs, outputs)

    def gradient(values, cotangents):
        by_place = {v: values[i] for i, v in enumerate(inputs)}

        def function(ws):
            every = by_place | dict(zip(weights, ws, strict=True))
            return apply(*(every[v] for v in inputs))

        _, pull = jax.vjp(function, [by_place[v] for v in weights])
        return pull(cotangents)

    shapes = ([struct_of(v) for v in group] for group in (inputs, outputs))
    closed = jax.make_jaxpr(gradient)(*shapes)
    equations, results, _ = flatten(closed)
    read = variables([*results, *(v for e in needed(equations, results, ()) for v in e.invars)])
    names = dict(zip(closed.jaxpr.invars, inputs, strict=False))
    return [names[v] for v in read if v in names and names[v] not in fixed]
