"""The carry as the step takes it apart.

A step may carry several vectors in one array, or a matrix as a vector, which it cuts or reshapes
before it does anything else, and puts together again at its end. What goes from step to step is
then what it works with: a pair of recurrences, or one over a matrix.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from jaxrnn.jaxprs.equations import Atom, Equation, Variable, is_variable, needed
from jaxrnn.schedule.reading import ALL, Cut, Leaf, Span, Step
from jaxrnn.unstable import new_variable

MOST = 8
"""Parts of one array: each may become a loop of its own."""


class _Part(NamedTuple):
    """What becomes of a part of an array."""

    span: Span
    new: Atom


def taken_apart(step: Step) -> Step:
    """The same step, each leaf of its carry in those parts that it takes it apart into."""
    place = 0
    while place < len(step.carry):
        cut = _cut(step, step.carry[place])
        step, place = (step, place + 1) if cut is None else (cut, place)
    return step


def _cut(step: Step, leaf: Leaf) -> Step | None:
    """With the parts of a leaf in its place; None if something is done with it as a whole."""
    parts = next((_put(e) for e in step.equations if leaf.new in e.outvars), [])
    if not 1 <= len(parts) <= MOST:
        return None
    of_old, read = _cut_out(step, leaf.old)
    olds = [new_variable(part.new) for part in parts]
    names = dict(_matching(of_old, parts, olds))
    if not read or not read <= names.keys():
        return None
    # the step may go on with parts of what becomes of the leaf
    of_new, _ = _cut_out(step, leaf.new)
    names |= _matching(of_new, parts, [part.new for part in parts])

    def of(atom):
        while is_variable(atom) and atom in names:
            atom = names[atom]
        return atom

    own = list(zip(olds, [part.new for part in parts], strict=True))
    every = [p for each in step.carry for p in (own if each is leaf else [(each.old, each.new)])]
    carry = [Leaf(place, old, of(new)) for place, (old, new) in enumerate(every)]
    equations = [e.replace(invars=list(map(of, e.invars))) for e in step.equations]
    y = list(map(of, step.y))
    cut = Cut(
        leaf.place,
        leaf.old.aval.shape,
        tuple(part.span for part in parts),
        tuple(v.aval.shape for v in olds),
    )
    return step._replace(
        equations=needed(equations, [*y, *(each.new for each in carry)], ()),
        carry=carry,
        y=y,
        cuts=(*step.cuts, cut),
    )


def _put(equation: Equation) -> list[_Part]:
    """What an equation puts together; nothing where it does something else."""
    name, inputs = equation.primitive.name, equation.invars
    if _is_reshape(equation):
        return [_Part(ALL, inputs[0])]
    if name not in ("concatenate", "stack"):
        return []
    axis = int(equation.params["dimension" if name == "concatenate" else "axis"])
    sizes = [1 if name == "stack" else v.aval.shape[axis] for v in inputs]
    return [_Part(*each) for each in zip(_along(axis, sizes), inputs, strict=True)]


def _cut_out(step: Step, whole: Atom) -> tuple[dict[Variable, Span], set[Variable]]:
    """Parts of an array, of any shape, and those of them that something else is done with."""
    found: dict[Variable, Span] = {whole: ALL}
    read = set()
    for equation in step.equations:
        ours = found.keys() & {v for v in equation.invars if is_variable(v)}
        spans = _spans(equation) if ours == {whole} else []
        if ours and _is_reshape(equation):
            (v,) = ours
            found[equation.outvars[0]] = found[v]
        elif spans:
            found |= zip(equation.outvars, spans, strict=True)
        else:
            read |= ours
    handed_on = {a for a in [*step.y, *(leaf.new for leaf in step.carry)] if is_variable(a)}
    return found, read | (found.keys() & handed_on)


def _spans(equation: Equation) -> list[Span]:
    """What is cut out of an array, where that is along one axis."""
    name, params = equation.primitive.name, equation.params
    if name == "split":
        return _along(int(params["axis"]), map(int, params["sizes"]))
    if name != "slice" or any(n != 1 for n in params["strides"] or ()):
        return []
    shape = equation.invars[0].aval.shape
    ends = enumerate(zip(params["start_indices"], params["limit_indices"], shape, strict=True))
    cut: list[Span] = [(a, int(i), int(j)) for a, (i, j, n) in ends if (i, j) != (0, n)]
    return cut if len(cut) == 1 else []


def _along(axis: int, sizes: Iterable[int]) -> list[Span]:
    """One behind another."""
    stops = list(accumulate(sizes))
    return [(axis, start, stop) for start, stop in zip([0, *stops], stops, strict=False)]


def _matching(
    found: dict[Variable, Span], parts: list[_Part], values: Iterable[Atom]
) -> Iterator[tuple[Variable, Atom]]:
    """Variables that are one of the parts, in its shape, and the value of that part."""
    for part, value in zip(parts, values, strict=True):
        shape = part.new.aval.shape
        yield from ((v, value) for v, s in found.items() if (s, v.aval.shape) == (part.span, shape))


def _is_reshape(equation: Equation) -> bool:
    """Whether it gives the same numbers in the same order another shape."""
    if equation.primitive.name not in ("reshape", "squeeze", "broadcast_in_dim"):
        return False
    read, made = equation.invars[0].aval, equation.outvars[0].aval
    return len(equation.invars) == 1 and read.size == made.size and read.shape != made.shape
