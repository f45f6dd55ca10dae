"""What variables of a step are whatever goes in: identity matrices, zeros, one number often."""

from typing import Any, Literal

import jax
import numpy as np

from jaxrnn.jaxprs.equations import Variable, as_function, primitives, variables
from jaxrnn.schedule.matrix.interpreting import ELEMENTWISE, PRODUCTS
from jaxrnn.schedule.reading import Step

Known = Literal["identity", "zero"]

LARGEST = 2**20
"""Numbers up to which an array is looked at."""


def known_of(step: Step) -> dict[Variable, Known]:
    """Of what is the same whatever goes in, what is 0 everywhere or an identity matrix, beside axes
    of size 1."""
    found: dict[Variable, Known] = {}
    for v, array in _constants(step).items():
        small = array.squeeze()
        if not array.any():
            found[v] = "zero"
        elif small.ndim == 2 and np.array_equal(small, np.eye(len(small))):
            found[v] = "identity"
    return found


def _constants(step: Step) -> dict[Variable, np.ndarray]:
    """What comes of literals, and of arrays that the step closed over, alone."""
    values = {v: np.asarray(a) for v, a in step.constants.items() if _is_plain(v, a)}
    with jax.ensure_compile_time_eval():
        for equation in step.equations:
            read = list(dict.fromkeys(variables(equation.invars)))
            if (
                equation.primitive.name in PRODUCTS | ELEMENTWISE | primitives("iota")
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
