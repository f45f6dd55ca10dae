"""Carrying out a plan, stage by stage."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Params, Size, X, Y
from jaxrnn.jaxprs.equations import Variable, as_function, is_variable
from jaxrnn.schedule.chunked import run_chunked
from jaxrnn.schedule.devices import vary_like
from jaxrnn.schedule.linear import run_linear
from jaxrnn.schedule.loops import run_loop
from jaxrnn.schedule.planning import AllSteps, Loop, Once, Plan, Stage
from jaxrnn.schedule.reading import Step
from jaxrnn.schedule.stepping import over_time


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
    step: Step, plan: Plan, params: Params, carry: Carry, xs: X, emit: Size
) -> tuple[Carry, Y]:
    """What `lax.scan` of the batched step gives; carry leaves [B, ...], xs leaves [T, B, ...].

    Of ys the last `emit` time steps: what no loop reads is done for these alone.
    """
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    first, *_ = jax.tree.leaves(xs)
    around = [vary_like(a, first) for a in step.closed_over]
    given = zip(step.params, [*jax.tree.leaves(params), *around], strict=True)
    values = _Values(
        once=dict(step.constants) | dict(given),
        always=dict(zip(step.x, jax.tree.leaves(xs), strict=True)),
        carry=jax.tree.leaves(carry),
    )
    loops = [place for place, stage in enumerate(plan) if isinstance(stage, Loop)]
    behind = loops[-1] + 1 if loops else 0
    for stage in plan[:behind]:
        values = _run(stage, values, length)
    if emit < length:
        late = {v: a[length - emit :] for v, a in values.always.items()}
        values, length = values._replace(always=late), emit
    for stage in plan[behind:]:
        values = _run(stage, values, length)
    once, always, last = values

    def given_out(atom):
        if is_variable(atom) and atom in always:
            return always[atom]
        one = once[atom] if is_variable(atom) else jnp.asarray(atom.val, atom.aval.dtype)
        return jnp.broadcast_to(one, (length, batch_size, *one.shape))

    ys = [given_out(atom) for atom in step.y]
    return jax.tree.unflatten(jax.tree.structure(carry), last), step.y_tree.unflatten(ys)


def _run(stage: Stage, values: _Values, length: Size) -> _Values:
    """The values behind the stage."""
    once, always, carry = values
    if isinstance(stage, Once):
        function = as_function(stage.equations, stage.inputs, stage.outputs)
        found = function(*(once[v] for v in stage.inputs))
        return values._replace(once=once | dict(zip(stage.outputs, found, strict=True)))
    if isinstance(stage, AllSteps):
        moving = [v for v in stage.inputs if v in always]
        function = over_time(stage.equations, once, moving, stage.outputs)
        found = function([always[v] for v in moving])
        return values._replace(always=always | dict(zip(stage.outputs, found, strict=True)))
    first = [carry[i] for i in stage.members]
    run = run_chunked if stage.matrix else run_linear if stage.linear else run_loop
    last, new, emitted = run(
        stage,
        [once[v] for v in stage.weights],
        first,
        [always[v] for v in stage.streams],
        length,
    )
    always = always | dict(zip(stage.emitted, emitted, strict=True))
    # a matrix has no new carry at every time step, and none is read
    moving = zip(stage.carry, first, new, strict=True) if stage.matrix is None else ()
    for leaf, begin, end in moving:
        always[leaf.old] = jnp.concatenate([begin[None], end[:-1]])
        if is_variable(leaf.new) and leaf.new not in once:
            always.setdefault(leaf.new, end)
    ends = dict(zip(stage.members, last, strict=True))
    return _Values(once, always, [ends.get(i, a) for i, a in enumerate(carry)])
