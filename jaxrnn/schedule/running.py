"""Carrying out a plan, stage by stage."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Params, Size, X, Y
from jaxrnn.jaxprs.equations import Variable, as_function, is_variable
from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.linear.parallel import run_linear
from jaxrnn.schedule.loop.forward import run_loop
from jaxrnn.schedule.matrix.chunked import run_chunked
from jaxrnn.schedule.reading import Step
from jaxrnn.schedule.scanning import scan
from jaxrnn.schedule.stages import AllSteps, InTurn, Loop, Once, Plan, Stage
from jaxrnn.schedule.stepping import over_batch, over_time

# Of (loop, weights, first carry, streams, T): the new carry of all time steps, leaves [T, B, ...].
Solver = Callable[[Loop, list, list, list, int], Sequence[jax.Array]]


class _Values(NamedTuple):
    """What there is between two stages.

    Attributes:
      once: variable to value, of the params alone.
      always: variable to values [T, B, ...].
      carry: leaves [B, ...], the last one where the loop over it is behind, else the first.
    """

    once: dict[Variable, Any]
    always: dict[Variable, Any]
    carry: list[Any]


def run_plan(
    step: Step,
    plan: Plan,
    params: Params,
    carry: Carry,
    xs: X,
    emit: Size,
    solver: Solver | None = None,
) -> tuple[Carry, Y]:
    """What `lax.scan` of the batched step gives; carry leaves [B, ...], xs leaves [T, B, ...].

    Of ys the last `emit` time steps: what no loop reads is done for these alone. `solver` is for
    the loops whose carries of all time steps are found together.
    """
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    behind = _behind_loops(plan)
    values = _through_loops(step, plan, params, carry, xs, solver)
    if emit < length:
        late = {v: a[length - emit :] for v, a in values.always.items()}
        values, length = values._replace(always=late), emit
    for stage in plan[behind:]:
        values = _run(stage, values, length, solver)
    once, always, last = values

    def given_out(atom):
        if is_variable(atom) and atom in always:
            return always[atom]
        one = once[atom] if is_variable(atom) else jnp.asarray(atom.val, atom.aval.dtype)
        return jnp.broadcast_to(one, (length, batch_size, *one.shape))

    ys = [given_out(atom) for atom in step.y]
    last = functools.reduce(lambda a, cut: cut.together(a), reversed(step.cuts), last)
    return jax.tree.unflatten(jax.tree.structure(carry), last), step.y_tree.unflatten(ys)


def run_loops(step: Step, plan: Plan, params: Params, carry: Carry, xs: X, solver: Solver) -> None:
    """Runs the plan up to its last loop, for what `solver` learns."""
    _through_loops(step, plan, params, carry, xs, solver)


def _behind_loops(plan: Plan) -> int:
    loops = [place for place, stage in enumerate(plan) if isinstance(stage, Loop)]
    return loops[-1] + 1 if loops else 0


def _through_loops(step: Step, plan: Plan, params, carry, xs, solver: Solver | None) -> _Values:
    first, *_ = jax.tree.leaves(xs)
    around = [vary_like(a, first) for a in step.closed_over]
    given = zip(step.params, [*jax.tree.leaves(params), *around], strict=True)
    values = _Values(
        once=dict(step.constants) | dict(given),
        always=dict(zip(step.x, jax.tree.leaves(xs), strict=True)),
        carry=functools.reduce(lambda a, cut: cut.apart(a), step.cuts, jax.tree.leaves(carry)),
    )
    for stage in plan[: _behind_loops(plan)]:
        values = _run(stage, values, first.shape[0], solver)
    return values


def _run(stage: Stage, values: _Values, length: Size, solver: Solver | None) -> _Values:
    """The values behind the stage."""
    once, always, carry = values
    if isinstance(stage, Once):
        function = as_function(stage.equations, stage.inputs, stage.outputs)
        found = function(*(once[v] for v in stage.inputs))
        return values._replace(once=once | dict(zip(stage.outputs, found, strict=True)))
    if isinstance(stage, AllSteps | InTurn):
        moving = [v for v in stage.inputs if v in always]
        how = over_time if isinstance(stage, AllSteps) else _in_turn
        function = how(stage.equations, once, moving, stage.outputs)
        found = function([always[v] for v in moving])
        return values._replace(always=always | dict(zip(stage.outputs, found, strict=True)))
    first = [carry[i] for i in stage.members]
    given = [once[v] for v in stage.weights], first, [always[v] for v in stage.streams]
    if stage.newton is not None:
        assert solver is not None
        assert isinstance(length, int)
        new = solver(stage, *given, length)
        last, emitted = [a[-1] for a in new], []
    else:
        run = run_chunked if stage.matrix else run_linear if stage.linear else run_loop
        last, new, emitted = run(stage, *given, length)
    always = always | dict(zip(stage.emitted, emitted, strict=True))
    # a matrix has no new carry at every time step, and none is read
    moving = zip(stage.carry, first, new, strict=True) if stage.matrix is None else ()
    for leaf, begin, end in moving:
        always[leaf.old] = jnp.concatenate([begin[None], end[:-1]])
        if is_variable(leaf.new) and leaf.new not in once:
            always.setdefault(leaf.new, end)
    ends = dict(zip(stage.members, last, strict=True))
    return _Values(once, always, [ends.get(i, a) for i, a in enumerate(carry)])


def _in_turn(equations, held, moving, outputs):
    """Like `over_time`, one time step after another; for the gradient each is run again."""
    step = jax.checkpoint(over_batch(equations, held, moving, outputs, {}))

    def over_steps(values):
        _, found = scan(lambda _, now: ((), step(now)), (), values, values[0].shape[0])
        return found

    return over_steps
