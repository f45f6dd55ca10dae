"""Which leaf of the carry is a matrix that can be worked out chunk by chunk, and what reads it."""

from typing import Any, NamedTuple

import jax

from jaxrnn.jaxprs.equations import (
    Equation,
    Variable,
    is_float,
    is_variable,
    made_by,
    needed,
    operation_of,
    read_by,
    struct_of,
    variables,
)
from jaxrnn.schedule.matrix.factored import Known, NotAffine, Value, dtype_inside, long_sizes
from jaxrnn.schedule.matrix.interpreting import (
    ELEMENTWISE,
    PRODUCTS,
    Reading,
    as_large_as_a_matrix,
)
from jaxrnn.schedule.matrix.known import known_of, same_numbers
from jaxrnn.schedule.matrix.layouts import Along, layouts_of, pieces_of
from jaxrnn.schedule.reading import Leaf, Step


class Matrix(NamedTuple):
    """How a matrix is worked out.

    Attributes:
      along: a layout for each axis along which it is read.
      decay: "none", "scalar", "of each key", "of each value", or the last two with "and".
      rank: how many contractions of the matrix feed back.
      size: time steps of a chunk.
      equations: of the loop, those that read the matrix.
      emitted: what else is read of them at every time step.
      known: what of what they read is the same whatever goes in.
    """

    along: tuple[Along, ...]
    decay: str
    rank: int
    size: int
    equations: list[Equation]
    emitted: list[Variable]
    known: dict[Variable, Known]


def find_matrix(
    step: Step,
    carry: list[Leaf],
    reads: dict[Variable, frozenset[int]],
    behind: frozenset[int],
    fixed: set[Variable],
    size: int,
) -> Matrix:
    """
    Args:
      carry: the leaves of a recurrence.
      reads: which leaves each variable depends on.
      fixed: variables that are the same at every time step.
      behind: places of the leaves whose loops come before.
      size: time steps of a chunk, a power of two.

    Raises:
      NotAffine: why it cannot be worked out so.
    """
    if len(carry) > 1:
        raise NotAffine("several leaves of the carry feed each other")
    (leaf,) = carry
    aval = leaf.old.aval
    if not (is_float(aval) and len(long_sizes(aval.shape)) >= 2):
        raise NotAffine("no matrix of floats")
    if not is_variable(leaf.new):
        raise NotAffine("its carry becomes a constant")
    if leaf.place not in reads[leaf.new]:
        raise NotAffine("its carry does not read itself")
    others = [other for other in step.carry if other is not leaf]
    wanted = variables([*step.y, *(other.new for other in others)])
    alive = needed(step.equations, [*wanted, leaf.new], ())
    of_it = [e for e in alive if any(leaf.place in reads[v] for v in e.outvars)]
    able = {
        id(e) for e in of_it if all(reads[v] <= behind | {leaf.place} for v in variables(e.invars))
    }
    known, same = known_of(step), same_numbers(step)
    feeding = _feeding(step, [e for e in of_it if id(e) in able], leaf, reads, fixed, known, same)
    every = {id(e) for e in [*of_it, *feeding]}
    equations = [e for e in step.equations if id(e) in every]
    made = {*made_by(equations), leaf.old}
    given = [v for v in read_by(equations) if v not in made]
    found: list[Any] = []

    def interpret(values):
        walk = _Walk(leaf, able, {id(e) for e in feeding}, known)
        walk.reading.know(dict(zip(given, values, strict=True)))
        for equation in equations:
            walk.go(equation)
        if any(walk.large(v) for v in wanted):
            raise NotAffine("it is given out at every time step")
        if leaf.new in walk.outside:
            raise NotAffine(walk.outside[leaf.new])
        vectors = walk.reading.vectors
        pieces = pieces_of(walk.reading.values[leaf.new], [axis for _, axis in vectors])
        found.append((walk, pieces, layouts_of(pieces, vectors, long_sizes(aval.shape))))
        return ()

    jax.eval_shape(interpret, [struct_of(v) for v in given])
    ((walk, pieces, along),) = found
    # beside what the matrix becomes only what reads it: the rest is done for all steps at once
    inside = needed(walk.inside, [leaf.new, *walk.thin], ())
    ids = {id(e) for e in inside}
    read = read_by([e for e in alive if id(e) not in ids], wanted)
    emitted = [v for v in made_by(inside) if v in set(read) and leaf.place in reads[v]]
    if any(walk.large(v) or v.aval.size >= aval.size for v in emitted):
        raise NotAffine("it is read by more than vectors")
    decay, rank = _decay(pieces, along[0]), len(pieces.fed)
    if rank > 1:  # its triangular system has as many rows a time step
        size = max(size >> (rank - 1).bit_length(), 4)
    return Matrix(
        along, decay, rank, size, inside, emitted, {v: known[v] for v in given if v in known}
    )


def _feeding(
    step: Step, reading: list[Equation], leaf: Leaf, reads, fixed, known, same
) -> list[Equation]:
    """What makes, of vectors, values as large as the matrix that it meets: done with it, since
    there should be no array of all time steps. And what repeats one number, which is a scalar to
    it and not a vector. Not a product of a vector with a weight, though it
    may be as large where there are many heads: it is one product for all time steps."""
    maker = {v: e for e in step.equations for v in e.outvars}
    found: dict[int, Equation] = {}
    waiting = read_by(reading)
    while waiting:
        v = waiting.pop()
        equation = maker.get(v)
        if (
            equation is not None
            and leaf.place not in reads[v]
            and v not in known
            and (v in same or v.aval.size >= as_large_as_a_matrix(leaf.old.aval.shape))
            and equation.primitive.name in (PRODUCTS | ELEMENTWISE) - {"slice"}
            and not _projects(equation, fixed)
            and id(equation) not in found
        ):
            found[id(equation)] = equation
            waiting += variables(equation.invars)
    return list(found.values())


def _projects(equation: Equation, fixed: set[Variable]) -> bool:
    """Whether it is a product of one vector and a weight."""
    inputs = variables(equation.invars)
    moving = [v for v in inputs if v not in fixed]
    return (
        equation.primitive.name == "dot_general"
        and len(moving) < len(inputs)
        and all(v.aval.ndim == 1 for v in moving)
    )


class _Walk:
    """Through the equations that read a matrix.

    Attributes:
      reading: what it found.
      inside: equations that are sums of products.
      outside: by variable, what made it none.
      thin: what equations that read the matrix itself made that is smaller.
    """

    def __init__(self, leaf: Leaf, able: set[int], feeding: set[int], known: dict[Variable, Known]):
        self.reading = Reading(leaf.old, dtype_inside(leaf.old.aval.dtype), known)
        self.able, self.feeding = able, feeding
        self.inside: list[Equation] = []
        self.outside: dict[Variable, str] = {}
        self.thin: list[Variable] = []

    def large(self, v: Variable) -> bool:
        """Whether it is of the matrix itself."""
        value = self.reading.values.get(v)
        return isinstance(value, Value) and value.of_matrix

    def go(self, equation: Equation) -> None:
        if id(equation) in self.feeding:
            self.reading.run(equation)
            self.inside.append(equation)
            return
        inputs = variables(equation.invars)
        large = any(self.large(v) for v in inputs)
        cause = next((self.outside[v] for v in inputs if v in self.outside), None)
        if cause is None and id(equation) not in self.able:
            cause = "it is read with what a later loop makes"
        if cause is None:
            try:
                self.reading.run(equation)
            except NotAffine as error:
                name = operation_of(equation)
                what = "it" if large else "what is read of it"
                cause = f"{name} of {what}" if str(error) == name else str(error)
        if cause is None:
            self.inside.append(equation)
            self.thin += [v for v in equation.outvars if large and not self.large(v)]
        elif large:
            raise NotAffine(cause)
        else:
            self.outside.update(dict.fromkeys(equation.outvars, cause))


def _decay(pieces: Any, along: Along) -> str:
    axes = {a for factors in pieces.decay for f in factors for a in f.axes}
    if not any(pieces.decay):
        return "none"
    words = ["of each key"] if along.axis in axes else []
    words += ["of each value"] if axes & {*along.values} else []
    return " and ".join(words) or "scalar"


def interpreted(
    matrix: Matrix, leaf: Leaf, values: dict[Variable, Any], found: list[Any] | None
) -> Reading:
    """The loop's equations at one time step; with z of each contraction, or to find what they
    contract with."""
    reading = Reading(leaf.old, dtype_inside(leaf.old.aval.dtype), matrix.known, found)
    reading.know(values)
    for equation in matrix.equations:
        reading.run(equation)
    return reading
