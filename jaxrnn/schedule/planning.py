"""From a step's equations to a plan: what is done once, for all time steps at once, in loops."""

from collections.abc import Collection
from typing import Literal, NamedTuple

import jax.numpy as jnp

from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    is_float,
    is_variable,
    made_by,
    needed,
    read_by,
    variables,
)
from jaxrnn.schedule.affine import why_not_linear
from jaxrnn.schedule.factored import NotAffine
from jaxrnn.schedule.matrix import Matrix, find_matrix
from jaxrnn.schedule.reading import Leaf, Step, Unreadable, is_costly, learnt
from jaxrnn.schedule.structure import Structure, find_structure
from jaxrnn.schedule.weighing import Reads, around_bulky, bulky_variables, with_readers

MOST_FED = 4
"""Vectors up to which a matrix that feeds itself back through them is worked out chunk by chunk
unasked: its triangular systems grow with the square of their number, and by 8 of them the loop was
quicker (64 x 64 numbers, two CPU cores)."""


class Once(NamedTuple):
    """Equations of the params alone."""

    equations: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]


class AllSteps(NamedTuple):
    """Equations that need no carry of a loop that is still to come: all time steps at once."""

    equations: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]


class InTurn(NamedTuple):
    """Equations that need no such carry either, and make what there should be no array of for all
    time steps: one time step after another, and again for the gradient."""

    equations: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]


class Loop(NamedTuple):
    """One recurrence: a strongly connected component of the carry graph.

    Attributes:
      carry: the leaves that it carries.
      equations: of one time step.
      weights: variables that are the same at every time step.
      learnt: those of them that gradients are taken of.
      streams: variables that come from outside at every time step.
      emitted: variables that later stages read at every time step.
      linear: whether it is carry' = a * carry + b, elementwise or by a small block of each unit, a
        and b free of the carry, and is worked out for all time steps in parallel.
      bulky: variables of which there should be no array of all time steps.
      matrix: how its carry is worked out chunk by chunk; None where it is not.
      no_matrix: why not, where that was asked.
      newton: the structure of d carry' / d carry, where its carries of all time steps are found
        together by Newton's method; None where they are not.
    """

    carry: list[Leaf]
    equations: list[Equation]
    weights: list[Variable]
    learnt: frozenset[Variable]
    streams: list[Variable]
    emitted: list[Variable]
    linear: bool
    bulky: frozenset[Variable]
    matrix: Matrix | None = None
    no_matrix: str = ""
    newton: Structure | None = None

    @property
    def members(self) -> list[int]:
        return [leaf.place for leaf in self.carry]

    @property
    def carried(self) -> list[Variable]:
        return [leaf.old for leaf in self.carry]

    @property
    def targets(self) -> list[Atom]:
        return [leaf.new for leaf in self.carry]

    @property
    def outputs(self) -> list[Variable]:
        """What there is of every time step behind the loop."""
        if self.matrix is not None:
            return self.emitted
        made = set(made_by(self.equations))
        return [*self.carried, *self.emitted, *(v for v in variables(self.targets) if v in made)]


# What carries nothing.
Apart = Once | AllSteps | InTurn
Stage = Apart | Loop
Plan = list[Stage]


def make_plan(
    step: Step,
    linear_in_parallel: bool,
    rows: int = 0,
    *,
    chunk: int,
    bulky_in_parallel: bool = True,
    in_chunks: Literal["none", "bulky", "all"] = "none",
    by_newton: bool = False,
) -> Plan:
    """Distributes the step's loop over its recurrences, in the order in which they feed each other.

    Only costly equations, and what they need, leave a loop; cheap ones stay where they are read.

    Args:
      linear_in_parallel: linear recurrences are worked out for all time steps at once.
      rows: time steps times examples, by which bulky values are weighed; 0 weighs none.
      chunk: time steps of a chunk, a power of two.
      bulky_in_parallel: also those whose carry is bulky, for which the parallel form needs several
        arrays of all time steps.
      in_chunks: which matrices are worked out chunk by chunk.
      by_newton: whether the other recurrences of floats are solved by Newton's method.

    Raises:
      Unreadable: "integers in a recurrence" or "narrow floats", where that keeps Newton's method
        from one.
    """
    fixed, reads, of_params = _same_at_every_step(step), carry_read_by(step), learnt(step)
    once, streams = {*step.params, *step.constants}, set(step.x)
    bulky = bulky_variables(step, fixed, rows)
    plan: Plan = []
    behind: set[int] = set()
    bound: set[tuple[int, int]] = set()
    waiting = components(step, reads)
    while waiting:
        carry, *waiting = waiting
        matrix, no_matrix = None, ""
        if in_chunks == "all" or (in_chunks == "bulky" and bulky & {leaf.old for leaf in carry}):
            try:
                matrix = find_matrix(step, carry, reads, frozenset(behind), fixed, chunk)
                if in_chunks == "bulky" and matrix.rank > MOST_FED:
                    raise NotAffine(
                        f"it feeds back through {matrix.rank} vectors: a loop is quicker"
                    )
            except NotAffine as cause:
                matrix, no_matrix = None, str(cause)
        linear = matrix is None and linear_in_parallel
        linear = linear and why_not_linear(step, carry) is None
        linear = linear and (bulky_in_parallel or not bulky & {leaf.old for leaf in carry})
        solved = by_newton and matrix is None and not linear and _has_floats(carry)
        if matrix is not None:
            body = matrix.equations
        else:
            body = _body(step, carry, reads, fixed, once | streams, bulky)
            if not (linear or solved):
                body, later = with_readers(
                    step, carry, reads, behind, fixed, body, once | streams, bulky
                )
                if later:  # what is larger than all else is handed on within a time step
                    bound |= {(carry[0].place, place) for place in later}
                    every = components(step, reads, bound)
                    waiting = [each for each in every if each[0].place not in behind]
                    continue
        inside = {*made_by(body), *(leaf.old for leaf in carry)}
        read = read_by(body, [leaf.new for leaf in carry])
        external = [v for v in read if v not in inside]
        feeding = _stages_for(step, external, fixed, once | streams, bulky)
        for stage in feeding:
            (once if isinstance(stage, Once) else streams).update(stage.outputs)
        # without time steps there is none to emit from: what else is made is made afterwards
        emitted = [] if linear or solved else _read_elsewhere(step, carry, body)
        loop = Loop(
            carry=carry,
            equations=body,
            weights=[v for v in external if v in once],
            learnt=frozenset(of_params.intersection(external)),
            streams=[v for v in external if v in streams],
            emitted=emitted if matrix is None else matrix.emitted,
            linear=linear,
            bulky=bulky,
            matrix=matrix,
            no_matrix=no_matrix,
            newton=find_structure(
                body, [leaf.old for leaf in carry], [leaf.new for leaf in carry], external
            )
            if solved
            else None,
        )
        behind.update(loop.members)
        streams.update(loop.outputs)
        plan += [*feeding, loop]
    return [*plan, *_stages_for(step, variables(step.y), fixed, once | streams, bulky)]


def _has_floats(carry: list[Leaf]) -> bool:
    """Whether a recurrence is one of floats.

    Raises:
      Unreadable: if only in part, or if they are too narrow for a tolerance.
    """
    kinds = [leaf.old.aval for leaf in carry]
    if not any(map(is_float, kinds)):
        return False
    for kind in kinds:
        if not is_float(kind):
            raise Unreadable(
                f"integers in a recurrence: a {kind.dtype} of the carry and its floats feed each "
                "other, and Newton's method has no derivative of it"
            )
        if jnp.finfo(kind.dtype).bits < 32:
            raise Unreadable(
                f"narrow floats: a {kind.dtype} of the carry is rounded at every time step, more "
                "than Newton's method may be wrong by"
            )
    return True


def _body(
    step: Step,
    carry: list[Leaf],
    reads: Reads,
    fixed: set[Variable],
    known: set[Variable],
    bulky: frozenset[Variable],
) -> list[Equation]:
    """The equations that stay in the loop over these leaves of the carry."""
    targets = [leaf.new for leaf in carry]
    members = {leaf.place for leaf in carry}
    computing = needed(step.equations, targets, known)
    body = [e for e in computing if any(reads[v] & members for v in e.outvars)]
    inside = {*made_by(body), *(leaf.old for leaf in carry)}
    outside = [v for v in read_by(body, targets) if v not in inside]
    feeders = needed(step.equations, outside, known)
    alone = {id(e) for e in feeders if all(v in fixed for v in e.outvars)}
    leaving = [e for e in feeders if is_costly(e)]
    while True:
        hoisted = alone | {id(e) for e in needed(step.equations, made_by(leaving), known)}
        staying = [e for e in [*body, *feeders] if id(e) not in hoisted]
        # what is larger than all that goes in and out is made where it is read
        read = bulky.intersection(read_by(staying, targets))
        kept = [e for e in leaving if not read.intersection(e.outvars)]
        if len(kept) == len(leaving):
            inside = {id(e) for e in staying}
            return [e for e in step.equations if id(e) in inside]
        leaving = kept


def _read_elsewhere(step: Step, carry: list[Leaf], body: list[Equation]) -> list[Variable]:
    """What other equations read, or the step gives out, of what a loop makes beside its carry."""
    inside = {id(e) for e in body}
    others = [e for e in step.equations if id(e) not in inside]
    read = set(read_by(others, [*step.y, *(leaf.new for leaf in step.carry)]))
    elsewhere = read.difference(variables(leaf.new for leaf in carry))
    return [v for v in made_by(body) if v in elsewhere]


def _stages_for(
    step: Step,
    targets: list[Variable],
    fixed: set[Variable],
    known: set[Variable],
    bulky: frozenset[Variable],
) -> list[Apart]:
    """Stages that make `targets` known."""
    equations = needed(step.equations, targets, known)
    alone = [e for e in equations if all(v in fixed for v in e.outvars)]
    beside = [e for e in equations if any(v not in fixed for v in e.outvars)]
    before, within, after = around_bulky(beside, bulky)
    parts = [(Once, alone), (AllSteps, before), (InTurn, within), (AllSteps, after)]
    stages, read = [], targets
    for kind, mine in reversed(parts):
        made = set(made_by(mine))
        outputs = [v for v in made_by(mine) if v in set(read)]
        if outputs:
            inputs = [v for v in read_by(mine) if v not in made]
            stages.insert(0, kind(mine, inputs, outputs))
        read = read_by(mine, read)
    return stages


def _same_at_every_step(step: Step) -> set[Variable]:
    """Variables of the params alone; what reads nothing (an iota) is the same at every step too."""
    fixed = {*step.params, *step.constants}
    for equation in step.equations:
        if all(v in fixed for v in variables(equation.invars)):
            fixed.update(equation.outvars)
    return fixed


def carry_read_by(step: Step) -> Reads:
    reads = {v: frozenset() for v in [*step.params, *step.x, *step.constants]}
    reads |= {leaf.old: frozenset([leaf.place]) for leaf in step.carry}
    for equation in step.equations:
        of_inputs = frozenset().union(*(reads[v] for v in variables(equation.invars)))
        reads.update(dict.fromkeys(equation.outvars, of_inputs))
    return reads


def components(
    step: Step, reads: Reads, bound: Collection[tuple[int, int]] = ()
) -> list[list[Leaf]]:
    """The strongly connected components of "feeds", each before those that it feeds; as if the
    first leaf of each of `bound`, places, read the second."""
    count = len(step.carry)
    reach = [set(reads[leaf.new]) if is_variable(leaf.new) else set() for leaf in step.carry]
    for one, other in bound:
        reach[one].add(other)
    for middle in range(count):
        for i in range(count):
            if middle in reach[i]:
                reach[i] |= reach[middle]
    found = [
        [j for j in range(count) if j == i or (j in reach[i] and i in reach[j])]
        for i in range(count)
    ]
    found = [members for i, members in enumerate(found) if members[0] == i]
    # what feeds a component reaches strictly less than it does
    found.sort(key=lambda members: len(set().union(*(reach[i] | {i} for i in members))))
    return [[step.carry[i] for i in members] for members in found]
