"""The values inside a step, by the names that `jaxrnn.jaxprs.naming` has for them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from jaxrnn.base import Carry, Cell, Params, X, Y
from jaxrnn.jaxprs.equations import as_function, needed, trace
from jaxrnn.jaxprs.naming import name_variables
from jaxrnn.unstable import new_variable


class NamedStep(NamedTuple):
    """A cell's step with its inside in view.

    Attributes:
      shapes: name to shape and dtype of the value, in the order of the step.
      first, carry, units: as `ValueNames` has them; the first names' values are those to keep.
      step: `(params, carry, x) -> (carry, y, values)`, values by first name.
      nudged: `(params, carry, x, name, nudge) -> (carry, y)`, the step with `nudge` added to the
        value `name` and all that follows from it. So the gradient to a nudge of zeros is the
        gradient to the value.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    first: dict[str, str]
    carry: tuple[str, ...]
    units: dict[str, str]
    step: Callable[[Params, Carry, X], tuple[Carry, Y, dict[str, Array]]]
    nudged: Callable[[Params, Carry, X, str, Array], tuple[Carry, Y]]

    def every(self, values: dict[str, Array]) -> dict[str, Array]:
        """Values by first name, by all their names."""
        return {name: values[first] for name, first in self.first.items()}


def name_values(cell: Cell, params: Params, carry: Carry, x: X) -> NamedStep:
    """Reads the step of `cell` for one example and one time step; arguments may be shapes."""
    program = trace(cell.step, params, carry, x)
    names, outputs = name_variables(program), program.outputs
    kept = {name: names.variables[name] for name in dict.fromkeys(names.first.values())}

    def evaluate(wanted, values):
        """The variables `wanted`, from the values of others."""
        known = set(values)
        equations = [_leaving(e, known) for e in needed(program.equations, wanted, known)]
        return as_function(equations, list(values), wanted)(*values.values())

    def step(params, carry, x):
        found = evaluate([*outputs, *kept.values()], program.with_values((params, carry, x)))
        carry, y = program.built(found[: len(outputs)])
        return carry, y, dict(zip(kept, found[len(outputs) :], strict=True))

    def nudged(params, carry, x, name, nudge):
        there, variable = program.with_values((params, carry, x)), names.variables[name]
        (value,) = evaluate([variable], there)
        return program.built(evaluate(outputs, there | {variable: value + nudge}))

    shapes = {
        name: jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype)
        for name, v in names.variables.items()
    }
    return NamedStep(shapes, names.first, names.carry, names.units, step, nudged)


def require_name(named: NamedStep, name: str) -> jax.ShapeDtypeStruct:
    """The shape of the value of that name.

    Raises:
      ValueError: there is none.
    """
    if name not in named.shapes:
        known = ", ".join(named.shapes) or "none: name parts with chain(name=cell)"
        raise ValueError(f"name is {name!r}; the values of this cell are {known}")
    return named.shapes[name]


def _leaving(equation: Any, known: set[Any]) -> Any:
    """Without computing anew what is known, such as a gate of several that are split."""
    outputs = [new_variable(v) if v in known else v for v in equation.outvars]
    return equation.replace(outvars=outputs)
