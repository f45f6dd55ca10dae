"""From a step's equations to a plan: what is done once, for all time steps at once, in loops."""

from typing import Any, NamedTuple

from jaxrnn.schedule.reading import (
    Step,
    is_costly,
    is_float,
    is_variable,
    learnt,
    needed,
    variables,
)


class Once(NamedTuple):
    """Equations of the params alone."""

    equations: list[Any]
    inputs: list[Any]
    outputs: list[Any]


class AllSteps(NamedTuple):
    """Equations that need no carry of a loop that is still to come: all time steps at once."""

    equations: list[Any]
    inputs: list[Any]
    outputs: list[Any]


class Loop(NamedTuple):
    """One recurrence: a strongly connected component of the carry graph.

    Attributes:
      members: indices of the carry's leaves.
      equations: of one time step.
      weights: variables that are the same at every time step.
      learnt: those of them that gradients are taken of.
      carried: the members' variables.
      streams: variables that come from outside at every time step.
      targets: the members' new values, atoms.
      emitted: variables that later stages read at every time step.
      linear: whether it is carry' = a * carry + b, number by number, with a and b free of the
        carry, and is worked out for all time steps in parallel.
    """

    members: list[int]
    equations: list[Any]
    weights: list[Any]
    learnt: frozenset[Any]
    carried: list[Any]
    streams: list[Any]
    targets: list[Any]
    emitted: list[Any]
    linear: bool


Plan = list[Once | AllSteps | Loop]

# Equations that keep "a * carry + b, number by number" what it is.
_SUMS = ("add", "sub", "add_any", "neg", "copy")


def make_plan(step: Step, linear_in_parallel: bool) -> Plan:
    """Distributes the step's loop over its recurrences, in the order in which they feed each other.

    Only costly equations, and what they need, leave a loop; cheap ones stay where they are read.
    """
    fixed, of_params = _same_at_every_step(step), frozenset(learnt(step))
    reads = carry_read_by(step)
    once, streams = {*step.params, *step.constants}, set(step.x)
    plan: Plan = []

    def provide(targets):
        """Stages that make `targets` known."""
        equations = needed(step.equations, targets, once | streams)
        alone = [e for e in equations if all(v in fixed for v in e.outvars)]
        beside = [e for e in equations if any(v not in fixed for v in e.outvars)]
        later = {v for e in beside for v in e.invars if is_variable(v)}
        for kind, part, known, wanted in (
            (Once, alone, once, later | set(targets)),
            (AllSteps, beside, streams, set(targets)),
        ):
            made = [v for e in part for v in e.outvars]
            outputs = [v for v in made if v in wanted]
            if outputs:
                inputs = variables(v for e in part for v in e.invars)
                plan.append(kind(part, [v for v in inputs if v not in set(made)], outputs))
                known.update(outputs)

    for members in components(step, reads):
        carried = [step.carry[i] for i in members]
        targets = [step.new_carry[i] for i in members]
        linear = linear_in_parallel and why_not_linear(step, members) is None
        body = [
            e
            for e in needed(step.equations, targets, once | streams)
            if any(reads[v] & set(members) for v in e.outvars)
        ]
        made = {v for e in body for v in e.outvars}
        outside = variables([*(v for e in body for v in e.invars), *targets])
        outside = [v for v in outside if v not in made and v not in carried]
        feeders = needed(step.equations, outside, once | streams)
        costly = [v for e in feeders if is_costly(e) for v in e.outvars]
        hoisted = {id(e) for e in needed(step.equations, costly, once | streams)}
        hoisted |= {id(e) for e in feeders if all(v in fixed for v in e.outvars)}
        inside = {id(e) for e in [*body, *feeders]} - hoisted
        body = [e for e in step.equations if id(e) in inside]
        made = {v for e in body for v in e.outvars}
        read = variables([*(v for e in body for v in e.invars), *targets])
        external = [v for v in read if v not in made and v not in carried]
        provide(external)
        others = [e for e in step.equations if id(e) not in inside]
        read_elsewhere = [*(v for e in others for v in e.invars), *step.y, *step.new_carry]
        # a linear loop has no time steps to emit from: what else it makes is made afterwards
        elsewhere = set() if linear else set(variables(read_elsewhere)) - set(variables(targets))
        emitted = [v for e in body for v in e.outvars if v in elsewhere]
        plan.append(
            Loop(
                members=members,
                equations=body,
                weights=[v for v in external if v in once],
                learnt=of_params.intersection(external),
                carried=carried,
                streams=[v for v in external if v in streams],
                targets=targets,
                emitted=emitted,
                linear=linear,
            )
        )
        streams |= {*carried, *emitted, *(v for v in targets if is_variable(v) and v in made)}
    provide(variables(step.y))
    return plan


def _same_at_every_step(step: Step) -> set[Any]:
    """Variables of the params alone; what reads nothing (an iota) is the same at every step too."""
    fixed = {*step.params, *step.constants}
    for equation in step.equations:
        if all(v in fixed for v in variables(equation.invars)):
            fixed.update(equation.outvars)
    return fixed


def carry_read_by(step: Step) -> dict[Any, frozenset[int]]:
    """Which leaves of the carry each variable depends on within the step."""
    reads = {v: frozenset() for v in [*step.params, *step.x, *step.constants]}
    reads |= {v: frozenset([i]) for i, v in enumerate(step.carry)}
    for equation in step.equations:
        of_inputs = frozenset().union(*(reads[v] for v in variables(equation.invars)))
        reads.update(dict.fromkeys(equation.outvars, of_inputs))
    return reads


def components(step: Step, reads: dict[Any, frozenset[int]]) -> list[list[int]]:
    """The strongly connected components of "feeds", each before those that it feeds."""
    count = len(step.carry)
    reach = [set(reads[v]) if is_variable(v) else set() for v in step.new_carry]
    for middle in range(count):
        for i in range(count):
            if middle in reach[i]:
                reach[i] |= reach[middle]
    found, placed = [], set()
    for i in range(count):
        if i not in placed:
            members = [j for j in range(count) if j == i or (j in reach[i] and i in reach[j])]
            placed |= set(members)
            found.append(members)
    # what feeds a component reaches strictly less than it does
    return sorted(found, key=lambda members: len(set().union(*(reach[i] | {i} for i in members))))


def why_not_linear(step: Step, members: list[int]) -> str | None:
    """What keeps a recurrence from being carry' = a * carry + b, number by number; None if nothing
    does."""
    if len(members) > 1:
        return "several leaves of the carry feed each other"
    carried, target = step.carry[members[0]], step.new_carry[members[0]]
    if not is_float(carried.aval):
        return "its carry is not of floats"
    if not is_variable(target):
        return "its carry becomes a constant"
    along = {carried}
    for equation in needed(step.equations, [target], ()):
        affine = [k for k, v in enumerate(equation.invars) if is_variable(v) and v in along]
        if not affine:
            continue
        name = equation.primitive.name
        shapes = {v.aval.shape for v in equation.outvars} | {
            equation.invars[k].aval.shape for k in affine
        }
        keeps = (
            name in _SUMS
            or (name == "mul" and len(affine) == 1)
            or (name == "div" and affine == [0])
            or (name == "select_n" and 0 not in affine)
        )
        if not keeps or shapes != {carried.aval.shape}:
            return f"{name} of the carry"
        along.update(equation.outvars)
    return None if target in along else "its carry does not read itself"
