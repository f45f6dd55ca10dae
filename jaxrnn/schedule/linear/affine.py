"""Which recurrences are affine in what they carry, each number by itself or with few others."""

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csgraph

from jaxrnn.jaxprs.equations import (
    Equation,
    as_function,
    is_float,
    is_variable,
    made_by,
    needed,
    operation_of,
    primitives,
    read_by,
    struct_of,
)
from jaxrnn.jaxprs.reach import Pattern, reach
from jaxrnn.schedule.reading import Leaf, Step

# Numbers that may feed each other: of each unit a block of so many rows and columns, of which the
# parallel form takes as many products of numbers as it has entries, times its rows.
MOST = 4

# What keeps "a * carry + b, elementwise" what it is.
_SUMS = ("add", "sub", "add_any", "neg", "copy", "name")
# What keeps it affine, and puts its numbers elsewhere.
_PLACES = primitives(
    """
    broadcast_in_dim concatenate reduce_sum reshape rev slice split squeeze stack transpose
    """
)


class Linear(NamedTuple):
    """What is carry' = a * carry + b.

    Attributes:
      units: [units, K], the places of each unit's numbers, which feed each other, among all of the
        carry; None where K leaves of one shape feed each other elementwise.
    """

    units: np.ndarray | None = None


def find_linear(step: Step, carry: list[Leaf]) -> Linear | str:
    """How a recurrence is linear, or what keeps it from being so, a line."""
    first, *others = (leaf.old.aval for leaf in carry)
    if not all(is_float(leaf.old.aval) for leaf in carry):
        return "its carry is not of floats"
    targets = [leaf.new for leaf in carry]
    if not all(map(is_variable, targets)):
        return "its carry becomes a constant"
    together = "several leaves of the carry feed each other"
    if any(aval.dtype != first.dtype for aval in others):
        return f"{together}, not all of one type"
    alike = len(carry) <= MOST and all(aval.shape == first.shape for aval in others)
    moved = ""
    along = {leaf.old for leaf in carry}
    for equation in needed(step.equations, targets, ()):
        affine = [k for k, v in enumerate(equation.invars) if is_variable(v) and v in along]
        if not affine:
            continue
        cause = operation_of(equation) + " of the carry"
        cause = f"{together}: {cause}" if others else cause
        if not _is_affine(equation, affine):
            return cause
        along.update(equation.outvars)
        atoms = [*equation.outvars, *(equation.invars[k] for k in affine)]
        in_place = equation.primitive.name not in {*_PLACES, "dot_general"}
        if not in_place or {a.aval.shape for a in atoms} != {first.shape}:
            moved = moved or cause
    if not along.issuperset(targets):
        return "its carry does not read itself"
    if alike and not moved:
        return Linear()
    units = _units(step, carry)
    many = f"{together}, more than {MOST} numbers a unit"
    return Linear(units) if units is not None else moved or many


def _is_affine(equation: Equation, affine: list[int]) -> bool:
    """Whether it is, in those of its operands."""
    name, params = equation.primitive.name, equation.params
    if name == "reduce_sum" or (name == "dot_general" and len(affine) == 1):
        (place,) = affine
        summed = params["axes"] if name == "reduce_sum" else params["dimension_numbers"][0][place]
        shape = equation.invars[place].aval.shape
        # of a longer sum each number would be of a larger unit
        return math.prod(shape[a] for a in summed) <= MOST
    return (
        name in _SUMS
        or name in _PLACES
        or (name == "mul" and len(affine) == 1)
        or (name == "div" and affine == [0])
        or (name == "select_n" and 0 not in affine)
    )


def _units(step: Step, carry: list[Leaf]) -> np.ndarray | None:
    """Of each unit the places of its numbers; None where they are not of one size, or too large."""
    targets = [leaf.new for leaf in carry]
    equations = needed(step.equations, targets, ())
    carried = [leaf.old for leaf in carry]
    others = [v for v in read_by(equations) if v not in {*carried, *made_by(equations)}]
    function = as_function(equations, [*carried, *others], targets)
    pattern, _ = reach(function, [struct_of(v) for v in carried], *map(struct_of, others))
    units = units_of(pattern)
    return units if units.shape[1] <= MOST and units.size == pattern.shape[0] > 0 else None


def units_of(pattern: Pattern) -> np.ndarray:
    """[units, K], the places of the numbers that reach each other, directly or through others; as
    many as there are numbers where a unit has fewer than K."""
    count, unit = csgraph.connected_components(pattern, directed=False)
    order = np.argsort(unit, kind="stable")
    sizes = np.bincount(unit, minlength=count)
    starts = np.cumsum(sizes) - sizes
    units = np.full((count, sizes.max(initial=0)), len(unit))
    units[unit[order], np.arange(len(unit)) - starts[unit[order]]] = order
    return units
