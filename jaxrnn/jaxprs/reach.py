"""Which numbers can reach which: the sparsity of a function's derivative, read from its equations.

A number is said to reach another where the equations leave it possible, whatever the values are: so
a pattern found here holds for every input, and an operation without a rule of its own is taken to
mix all numbers that enter it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from scipy import sparse

from jaxrnn.base import PyTree
from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    flatten,
    is_float,
    is_variable,
    needed,
    primitives,
    read_by,
    struct_of,
    trace,
)
from jaxrnn.unstable import CUSTOM

# A boolean matrix: a row per number that is reached, a column per number that reaches.
Pattern = Any

# Each number of the result reads the number at the same place in every operand.
ELEMENTWISE = primitives(
    """
    abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp complex conj
    convert_element_type copy copy_p cos cosh digamma div erf erf_inv erfc exp exp2 expm1 floor
    imag integer_pow lgamma log log1p logistic max min mul neg nextafter pow real reduce_precision
    rem round rsqrt select_n sign sin sinh sqrt square sub tan tanh
    """
)
# So do these, but no derivative passes them.
FLAT = primitives("and eq ge gt is_finite le lt ne not or sign stop_gradient xor")
RESHAPES = ("reshape", "squeeze", "expand_dims")
REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod")


def reach(
    function: Callable[..., PyTree], sources: Sequence[PyTree], *others: PyTree
) -> tuple[Pattern, Any]:
    """Which floats of `sources` reach which floats of `function(*sources, *others)`.

    Args:
      function: of one example; returns a tree.
      sources, others: arrays or their shapes.

    Returns:
      The pattern [floats that come out, floats of all sources], both in the order of their leaves,
      and the shapes of what comes out.
    """
    program = trace(function, *sources, *others)
    given = [v for v in jax.tree.leaves(program.arguments[: len(sources)]) if is_float(v.aval)]
    width = sum(v.aval.size for v in given)
    known: dict[Variable, Pattern] = {}
    column = 0
    for v in given:
        known[v] = sparse.eye(v.aval.size, width, column, format="csr", dtype=bool)
        column += v.aval.size
    for equation in needed(program.equations, program.outputs, program.inputs):
        known |= _through(equation, known)
    rows = [_known(v, known, width) for v in program.outputs if is_float(v.aval)]
    empty = sparse.csr_matrix((0, width), dtype=bool)
    return sparse.vstack([empty, *rows], format="csr"), jax.tree.map(struct_of, program.results)


def leaves_that_reach(
    function: Callable[..., PyTree], params: PyTree, *others: PyTree
) -> list[int]:
    """The float leaves of `params` of which `function(params, *others)` can be made."""
    program = trace(function, params, *others, custom=CUSTOM)
    floats = [v for v in program.outputs if is_float(v.aval)]
    read = set(read_by(needed(program.equations, floats, program.inputs), floats))
    given = jax.tree.leaves(program.arguments[0])
    return [i for i, v in enumerate(given) if v in read and is_float(v.aval)]


def _known(atom: Atom, known: dict[Variable, Pattern], width: int) -> Pattern:
    if is_variable(atom) and atom in known:
        return known[atom]
    return sparse.csr_matrix((atom.aval.size, width), dtype=bool)


def _through(
    equation: Equation, known: dict[Variable, Pattern], by_value: bool = False
) -> dict[Variable, Pattern]:
    """What reaches the equation's results; integers and booleans pass nothing on, but inside a
    function with a derivative of its own (`by_value`), which may be that of a spike."""
    name = equation.primitive.name
    if name in CUSTOM:
        return _through_custom(equation, known)
    found: dict[Variable, Pattern] = {}
    if name == "stop_gradient" and not by_value:
        return found
    for index, result in enumerate(equation.outvars):
        if not by_value and not is_float(result.aval):
            continue
        total = None
        for place, atom in enumerate(equation.invars):
            if is_variable(atom) and atom in known:
                reads = _reads(equation, place, index)
                more = _mixed(known[atom], result) if reads is None else reads @ known[atom]
                total = more if total is None else total + more
        if total is not None:
            found[result] = total
    return found


def _through_custom(equation: Equation, known: dict[Variable, Pattern]) -> dict[Variable, Pattern]:
    """A derivative of its own is taken to pass wherever the values do."""
    body = flatten(equation.params[CUSTOM[equation.primitive.name]], custom=CUSTOM)
    given = zip(body.inputs, equation.invars, strict=True)
    inside = {v: known[atom] for v, atom in given if is_variable(atom) and atom in known}
    for each in body.equations:
        inside |= _through(each, inside, by_value=True)
    return {
        result: inside[v]
        for v, result in zip(body.outputs, equation.outvars, strict=True)
        if is_float(result.aval) and is_variable(v) and v in inside
    }


def _mixed(pattern: Pattern, result: Variable) -> Pattern:
    """Every number of the result reads every number of the operand."""
    union = sparse.csr_matrix(pattern.sum(0) > 0)
    return sparse.csr_matrix(np.ones((result.aval.size, 1), bool)) @ union


def _reads(equation: Equation, place: int, index: int) -> Pattern | None:
    """Which numbers of the operand at `place` each number of the result at `index` reads; None
    where there is no rule."""
    operand, result = equation.invars[place].aval, equation.outvars[index].aval
    name, settings = equation.primitive.name, equation.params
    numbers = np.arange(operand.size).reshape(operand.shape)
    if name in ELEMENTWISE or name in FLAT:  # an axis of one number, or a scalar, is read by all
        return _matrix(np.broadcast_to(numbers, result.shape), operand, result)
    if name in RESHAPES:
        if settings.get("dimensions") is not None and name == "reshape":
            numbers = numbers.transpose(settings["dimensions"])
        return _matrix(numbers.reshape(result.shape), operand, result)
    if name == "transpose":
        return _matrix(numbers.transpose(settings["permutation"]), operand, result)
    if name == "rev":
        return _matrix(np.flip(numbers, settings["dimensions"]), operand, result)
    if name == "slice":
        steps = settings["strides"] or (1,) * operand.ndim
        bounds = zip(settings["start_indices"], settings["limit_indices"], steps, strict=True)
        return _matrix(numbers[tuple(slice(*b) for b in bounds)], operand, result)
    if name == "split":
        ends = np.cumsum(settings["sizes"])[:-1]
        part = np.split(numbers, ends, axis=settings["axis"])[index]
        return _matrix(part, operand, result)
    if name == "broadcast_in_dim":
        shape = [1] * result.ndim
        for axis, size in zip(settings["broadcast_dimensions"], operand.shape, strict=True):
            shape[axis] = size
        return _matrix(np.broadcast_to(numbers.reshape(shape), result.shape), operand, result)
    if name in ("concatenate", "stack"):
        axis = settings["dimension" if name == "concatenate" else "axis"]
        if name == "stack":
            numbers, before = np.expand_dims(numbers, axis), place
        else:
            before = sum(v.aval.shape[axis] for v in equation.invars[:place])
        at = np.moveaxis(np.full(result.shape, -1), axis, 0)
        at[before : before + numbers.shape[axis]] = np.moveaxis(numbers, axis, 0)
        return _matrix(np.moveaxis(at, 0, axis), operand, result)
    if name == "unstack":
        part = np.moveaxis(numbers, settings["axis"], 0)[index]
        return _matrix(part, operand, result)
    if name == "tile":
        return _matrix(np.tile(numbers, settings["reps"]), operand, result)
    if name in REDUCTIONS:
        axes = tuple(settings["axes"])
        last = np.moveaxis(numbers, axes, range(-len(axes), 0)) if axes else numbers[..., None]
        several = math.prod(operand.shape[axis] for axis in axes)
        return _matrix(last.reshape(result.size, several), operand, result)
    if name in ("gather", "dynamic_slice") and place == 0:
        return _looked_up(equation, numbers)
    if name == "dot_general":
        return _matrix(_contracted(equation, place, numbers), operand, result)
    return None


def _looked_up(equation: Equation, numbers: np.ndarray) -> Pattern | None:
    """Of a table, at a place that is known later: along the axes that are looked up in, every
    number may be the one; along the others a number of the result reads the one at its place."""
    operand, result = equation.invars[0].aval, equation.outvars[0].aval
    sizes = equation.params["slice_sizes"]
    axes = range(operand.ndim)
    if equation.primitive.name == "gather":
        where = equation.params["dimension_numbers"]
        if where.operand_batching_dims:
            return None
        kept = [a for a in axes if a not in where.collapsed_slice_dims]
        places, sought = where.offset_dims, where.start_index_map
    else:
        kept, places, sought = list(axes), list(axes), list(axes)
    sought = [a for a in sought if sizes[a] < operand.shape[a]]
    fixed = [a for a in axes if a not in sought]
    read = numbers[tuple(slice(None) if a in sought else slice(sizes[a]) for a in axes)]
    read = read.transpose(*fixed, *sought)
    shape = [1] * result.ndim
    for axis, place in zip(kept, places, strict=True):
        if axis in fixed:
            shape[place] = sizes[axis]
    count = math.prod(operand.shape[a] for a in sought)
    read = np.broadcast_to(read.reshape(*shape, count), (*result.shape, count))
    return _matrix(read.reshape(result.size, count), operand, result)


def _contracted(equation: Equation, place: int, numbers: np.ndarray) -> np.ndarray:
    """The numbers of one factor that each number of a product reads, [result, contracted]."""
    contracted, batched = equation.params["dimension_numbers"]
    axes, along = tuple(contracted[place]), tuple(batched[place])
    free = [a for a in range(numbers.ndim) if a not in axes and a not in along]
    mine = numbers.transpose(*along, *free, *axes)
    sizes = [math.prod(numbers.shape[a] for a in some) for some in (along, free, axes)]
    mine = mine.reshape(sizes)
    theirs = equation.outvars[0].aval.size // max(1, mine.shape[0] * mine.shape[1])
    # the result has its batched axes first, then the free ones of the left factor, of the right
    spread = np.expand_dims(mine, 2 if place == 0 else 1)
    spread = np.repeat(spread, theirs, axis=2 if place == 0 else 1)
    return spread.reshape(equation.outvars[0].aval.size, mine.shape[2])


def _matrix(reads: np.ndarray, operand: Any, result: Any) -> Pattern:
    """From the numbers read by each number of the result, [result] or [result, several]; -1 where
    there is none."""
    reads = reads.reshape(result.size, reads.size // max(1, result.size))
    rows = np.repeat(np.arange(result.size), reads.shape[1])
    columns = reads.ravel()
    there = columns >= 0
    ones = np.ones(there.sum(), bool)
    return sparse.csr_matrix(
        (ones, (rows[there], columns[there])), shape=(result.size, operand.size)
    )
