"""From a step's equations to a plan: how its loop is distributed over stages."""

from typing import Literal

import jax.numpy as jnp

from jaxrnn.jaxprs.equations import (
    Equation,
    Variable,
    is_float,
    made_by,
    needed,
    read_by,
    variables,
)
from jaxrnn.schedule.depending import Reads, carry_read_by, components, same_at_every_step
from jaxrnn.schedule.linear.affine import Linear, find_linear
from jaxrnn.schedule.matrix.factored import NotAffine
from jaxrnn.schedule.matrix.finding import Matrix, find_matrix
from jaxrnn.schedule.newton.structure import find_structure
from jaxrnn.schedule.reading import Leaf, Step, Unreadable, is_costly, learnt
from jaxrnn.schedule.stages import AllSteps, Apart, InTurn, Loop, Once, Plan
from jaxrnn.schedule.weighing import around_bulky, bulky_variables, with_readers

MOST_FED = 4
"""Vectors up to which a matrix that feeds itself back through them is worked out chunk by chunk
unasked: its triangular systems grow with the square of their number, and by 8 of them the loop was
quicker (64 x 64 numbers, two CPU cores)."""


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
    fixed, reads, of_params = same_at_every_step(step), carry_read_by(step), learnt(step)
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
            most = MOST_FED if in_chunks == "bulky" else None
            matrix, no_matrix = _matrix(step, carry, reads, behind, fixed, chunk, most)
        linear = None
        apart = bulky_in_parallel or not bulky & {leaf.old for leaf in carry}
        if matrix is None and linear_in_parallel and apart:
            found = find_linear(step, carry)
            linear = found if isinstance(found, Linear) else None
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


def _matrix(
    step: Step,
    carry: list[Leaf],
    reads: Reads,
    behind: set[int],
    fixed: set[Variable],
    chunk: int,
    most: int | None,
) -> tuple[Matrix | None, str]:
    """How a recurrence is worked out chunk by chunk, or why it is not; `most`: vectors through
    which it may feed itself back."""
    try:
        matrix = find_matrix(step, carry, reads, frozenset(behind), fixed, chunk)
    except NotAffine as cause:
        return None, str(cause)
    if most is not None and matrix.rank > most:
        return None, f"it feeds back through {matrix.rank} vectors: a loop is quicker"
    return matrix, ""


def _has_floats(carry: list[Leaf]) -> bool:
    """Whether a recurrence is one of floats.

    Raises:
      Unreadable: if only in part, or if they are too narrow for a tolerance.
    """
    kinds = [leaf.old.aval for leaf in carry if leaf.old.aval.size]
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
