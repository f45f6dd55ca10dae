"""The equations of a loop that read a weight: what its gradient needs of every time step."""

from typing import Literal, NamedTuple

import jax

from jaxrnn.jaxprs.equations import (
    Equation,
    Variable,
    as_function,
    is_float,
    is_product,
    needed,
    read_by,
    struct_of,
    trace,
    variables,
)
from jaxrnn.schedule.reading import HEAVY
from jaxrnn.schedule.stages import Loop

Kind = Literal["product", "added", "scaled", "pulled"]


class Reader(NamedTuple):
    """An equation that reads a weight, with what its weight's gradient needs.

    Attributes:
      equation: of the loop.
      weights: learnt variables, the same at every time step.
      rows: variables of the time step without which the gradient cannot be formed afterwards.
      kind: "product" is `x @ w` with x [I] and w [I, O], whose gradient is a product over time and
        batch after the reverse loop. "scaled" is what else needs rows for a gradient that is no
        larger than what the equation makes: it is summed up in the reverse loop, which costs less
        than to write rows and cotangents out and to read them again. "added" is the same without
        rows, a bias: the sum of its cotangents. "pulled" is any other: its pullback over time and
        batch after the reverse loop.
    """

    equation: Equation
    weights: list[Variable]
    rows: list[Variable]
    kind: Kind


def find_readers(loop: Loop) -> list[Reader]:
    fixed = set(loop.weights)
    readers = []
    for equation in loop.equations:
        weights = [v for v in variables(equation.invars) if v in loop.learnt]
        if weights and any(is_float(v.aval) for v in equation.outvars):
            if is_product(equation, fixed):
                readers.append(Reader(equation, weights, [equation.invars[0]], "product"))
                continue
            rows = _rows_needed(equation, weights, fixed)
            if _afterwards(equation, weights, rows, loop.bulky):
                readers.append(Reader(equation, weights, rows, "pulled"))
            else:
                readers.append(Reader(equation, weights, [], "scaled" if rows else "added"))
    return readers


def _afterwards(
    equation: Equation, weights: list[Variable], rows: list[Variable], bulky: frozenset[Variable]
) -> bool:
    """Whether the gradient of its weights waits until the reverse loop is over."""
    made = sum(v.aval.size for v in equation.outvars if is_float(v.aval))
    if sum(v.aval.size for v in weights) > made:
        # of a bulky value its cotangents alone are kept, as the plain loop keeps it
        return not (bulky.intersection(equation.outvars) and bulky.intersection(rows))
    return equation.primitive.name in HEAVY and not bulky.intersection(equation.outvars)


def _rows_needed(
    equation: Equation, weights: list[Variable], fixed: set[Variable]
) -> list[Variable]:
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
    program = trace(gradient, *shapes)
    read = variables([*program.outputs, *read_by(needed(program.equations, program.outputs, ()))])
    names = dict(zip(program.arguments[0], inputs, strict=True))
    return [names[v] for v in read if v in names and names[v] not in fixed]
