"""What variables of a step are whatever goes in: identity matrices, zeros, one number often."""

from typing import Any

import jax
import numpy as np

from jaxrnn.jaxprs.equations import Variable, as_function, primitives, variables
from jaxrnn.schedule.matrix.factored import Known, long_axes
from jaxrnn.schedule.matrix.interpreting import ELEMENTWISE, PRODUCTS
from jaxrnn.schedule.reading import Step

LARGEST = 2**20
"""Numbers up to which an array is looked at."""
# What is worked out of constants.
WORKED_OUT = PRODUCTS | ELEMENTWISE | primitives("concatenate iota pad rev split tile")


def known_of(step: Step) -> dict[Variable, Known]:
    """Of what is the same whatever goes in, the zeros and the identity matrices."""
    found: dict[Variable, Known] = {}
    for v, array in _constants(step).items():
        if not array.any():
            found[v] = Known()
            continue
        for axis in range(array.ndim):
            one = array[(slice(None),) * axis + (slice(1),)]
            array = one if (array == one).all() else array
        axes, matrix = long_axes(array.shape), array.squeeze()
        if len(axes) == 2 and np.array_equal(matrix, np.eye(len(matrix))):
            found[v] = Known(axes)
    return found


def _constants(step: Step) -> dict[Variable, np.ndarray]:
    """What comes of literals, and of arrays that the step closed over, alone."""
    values = {v: np.asarray(a) for v, a in step.constants.items() if _is_plain(v, a)}
    with jax.ensure_compile_time_eval():
        for equation in step.equations:
            read = list(dict.fromkeys(variables(equation.invars)))
            if (
                equation.primitive.name in WORKED_OUT
                and all(v in values for v in read)
                and all(v.aval.size <= LARGEST for v in equation.outvars)
            ):
                made = as_function([equation], read, equation.outvars)(*(values[v] for v in read))
                values.update(zip(equation.outvars, map(np.asarray, made), strict=True))
    return values


def _is_plain(v: Variable, array: Any) -> bool:
    """Whether its numbers can be looked at: no keys, and all of them on this machine."""
    numbers = isinstance(v.aval.dtype, np.dtype) and v.aval.size <= LARGEST
    return numbers and getattr(array, "is_fully_addressable", True)


def same_numbers(step: Step) -> set[Variable]:
    """Variables of several numbers that are all the same, whatever goes in: a derivative of a sum
    has such ones."""
    found: set[Variable] = set()
    for equation in step.equations:
        made = equation.outvars[0]
        if (
            equation.primitive.name in (PRODUCTS | ELEMENTWISE) - {"dot_general", "reduce_sum"}
            and made.aval.size > 1
            and all(v in found or v.aval.size == 1 for v in variables(equation.invars))
        ):
            found.add(made)
    return found
