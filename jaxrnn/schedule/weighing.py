"""What is bulky: much larger than all that goes in and out of a time step, so that there should be
no array of all time steps."""

import math
import operator

from jaxrnn.jaxprs.equations import (
    Equation,
    Variable,
    made_by,
    needed,
    read_by,
    variables,
)
from jaxrnn.jaxprs.reach import ELEMENTWISE
from jaxrnn.schedule.depending import Reads
from jaxrnn.schedule.reading import COSTLY, Leaf, Step, is_costly

FEW = 2**20
"""Bytes below which an array of all time steps is not weighed: several stay in a processor's
cache."""
TIMES = 3
"""How many times larger than what goes in and out a value has to be, to be bulky."""
WIDE = 8
"""How many times larger than all else what a weight makes of a vector may be, to count as what goes
in and out: gates are, a matrix for every time step (a hypernetwork's) is not."""


def bulky_variables(step: Step, fixed: set[Variable], rows: int) -> frozenset[Variable]:
    """What is much larger than all that there is of every time step anyway, such as a matrix that
    is carried and read through vectors, or that is drawn at every step.

    There is x anyway, y, carried vectors, what products with weights read, and what they make, if
    it is no more than `WIDE` times as large as those.
    """
    products = [e for e in step.equations if _of_weights(e, fixed)]
    read = [v for e in products for v in variables(e.invars) if v not in fixed]
    vectors = [leaf.old for leaf in step.carry if leaf.old.aval.ndim < 2]
    usual = max((_bytes(v.aval) for v in variables([*step.x, *step.y, *read, *vectors])), default=0)
    made = [_bytes(v.aval) for e in products for v in e.outvars]
    usual = max([usual, *(size for size in made if size <= WIDE * usual)])
    most = max(TIMES * usual, FEW / max(rows, 1))
    every = {*made_by(step.equations), *(leaf.old for leaf in step.carry)}
    return frozenset(v for v in every if rows and _bytes(v.aval) > most and v not in fixed)


def _bytes(aval) -> int:
    return aval.size * getattr(aval.dtype, "itemsize", 8)  # a key is two words


def with_readers(
    step: Step,
    carry: list[Leaf],
    reads: Reads,
    before: set[int],
    fixed: set[Variable],
    body: list[Equation],
    known: set[Variable],
    bulky: frozenset[Variable],
) -> tuple[list[Equation], frozenset[int]]:
    """The body, and what reads a bulky value of it, if then none is read outside: of a matrix that
    is carried and read through a vector, there is the product of every time step alone.

    Also the places of the leaves without whose loops what is read outside cannot come inside.
    """
    targets = [leaf.new for leaf in carry]
    members = {leaf.place for leaf in carry}
    behind = members | before
    made = {*made_by(body), *(leaf.old for leaf in carry)}
    if not bulky & made:
        return body, frozenset()
    ours = {id(e) for e in body}
    # what no loop that is still to come has to be waited for, and is no product with a weight
    able = [
        e
        for e in step.equations
        if any(reads[v] & members for v in e.outvars)
        and all(reads[v] <= behind for v in variables(e.invars))
        and not _of_weights(e, fixed)
    ]
    further = {id(e) for e in able} - ours
    grown = set(ours)
    while True:
        inside = {*made_by([e for e in step.equations if id(e) in grown]), *made}
        wanted = [
            e
            for e in step.equations
            if id(e) in further and bulky.intersection(variables(e.invars)) & inside
        ]
        chain = needed(
            step.equations, [v for e in wanted for v in variables(e.invars)], known | made
        )
        new = {id(e) for e in [*wanted, *chain] if id(e) in further} - grown
        if not new:
            break
        grown |= new
    inside = [e for e in step.equations if id(e) in grown]
    outside = [e for e in step.equations if id(e) not in grown]
    left = {*read_by(outside, [*step.y, *(leaf.new for leaf in step.carry if leaf not in carry)])}
    still = bulky & left & {*made_by(inside), *made, *variables(targets)}
    waited_for = [
        reads[v] for e in outside if still.intersection(variables(e.invars)) for v in e.outvars
    ]
    return (body if still else inside), frozenset().union(*waited_for) - behind


def around_bulky(
    equations: list[Equation], bulky: frozenset[Variable]
) -> tuple[list[Equation], list[Equation], list[Equation]]:
    """Equations outside the loops, as those before the first bulky value that they make, those
    from there to what reads the last one, and those behind.

    Elementwise functions of one are fused with what reads them, and only where they feed no sum,
    product or the like is nothing in the middle.
    """
    ours = bulky.intersection(made_by(equations))
    touching = [e for e in equations if ours.intersection([*e.outvars, *variables(e.invars)])]
    if not any(is_costly(e, COSTLY - ELEMENTWISE) for e in touching):
        return equations, [], []
    first = {id(e) for e in touching}
    begun: set[Variable] = set()
    for e in equations:
        if id(e) in first or begun.intersection(variables(e.invars)):
            begun.update(e.outvars)
    last = {id(e) for e in needed(equations, [v for e in touching for v in e.outvars], ())}
    before = [e for e in equations if not begun.intersection(e.outvars)]
    within = [e for e in equations if begun.intersection(e.outvars) and id(e) in last]
    after = [e for e in equations if begun.intersection(e.outvars) and id(e) not in last]
    return before, within, after


def _of_weights(equation: Equation, fixed: set[Variable]) -> bool:
    """Whether it is a contraction of a vector with what is the same at every time step: to do it
    for all time steps at once is worth the array of them. A product of a whole matrix gains nothing
    by that."""
    name = equation.primitive.name
    if name not in ("dot_general", "conv_general_dilated"):
        return False
    if name == "dot_general":
        contracted, batch = equation.params["dimension_numbers"]
        together = [{*map(int, own)} for own in map(operator.add, contracted, batch)]
        rows = [
            math.prod(n for axis, n in enumerate(atom.aval.shape) if axis not in own)
            for atom, own in zip(equation.invars, together, strict=True)
            if atom not in fixed
        ]
        return rows == [1]
    # of an image: no more numbers than a vector and its product with that weight have
    every = variables([*equation.invars, *equation.outvars])
    weights = sum(v.aval.size for v in every if v in fixed)
    return 0 < sum(v.aval.size for v in every if v not in fixed) <= weights + 1
