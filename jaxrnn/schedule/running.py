"""Carrying out a plan."""

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Params, Size, X, Y
from jaxrnn.schedule.linear import run_linear
from jaxrnn.schedule.loops import run_loop
from jaxrnn.schedule.planning import AllSteps, Loop, Once, Plan
from jaxrnn.schedule.reading import Step, as_function, is_variable
from jaxrnn.schedule.stepping import over_time


def run_plan(
    step: Step, plan: Plan, params: Params, carry: Carry, xs: X, emit: Size
) -> tuple[Carry, Y]:
    """What `lax.scan` of the batched step gives; carry leaves [B, ...], xs leaves [T, B, ...].

    Of ys the last `emit` time steps: what no loop reads is done for these alone.
    """
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    once = dict(step.constants) | dict(zip(step.params, jax.tree.leaves(params), strict=True))
    always = dict(zip(step.x, jax.tree.leaves(xs), strict=True))
    first = jax.tree.leaves(carry)
    last = list(first)

    def do_once(stage: Once):
        function = as_function(stage.equations, stage.inputs, stage.outputs)
        found = function(*(once[v] for v in stage.inputs))
        once.update(zip(stage.outputs, found, strict=True))

    def do_all_steps(stage: AllSteps):
        moving = [v for v in stage.inputs if v in always]
        function = over_time(stage.equations, once, moving, stage.outputs)
        found = function([always[v] for v in moving])
        always.update(zip(stage.outputs, found, strict=True))

    def do_loop(stage: Loop):
        begin = [first[i] for i in stage.members]
        end, new, emitted = (run_linear if stage.linear else run_loop)(
            stage,
            [once[v] for v in stage.weights],
            begin,
            [always[v] for v in stage.streams],
            length,
        )
        always.update(zip(stage.emitted, emitted, strict=True))
        for k, i in enumerate(stage.members):
            last[i] = end[k]
            always[step.carry[i]] = jnp.concatenate([begin[k][None], new[k][:-1]])
            target = step.new_carry[i]
            if is_variable(target) and target not in once:
                always.setdefault(target, new[k])

    def do(stages: Plan):
        for stage in stages:
            if isinstance(stage, Once):
                do_once(stage)
            elif isinstance(stage, AllSteps):
                do_all_steps(stage)
            else:
                do_loop(stage)

    loops = [place for place, stage in enumerate(plan) if isinstance(stage, Loop)]
    behind = loops[-1] + 1 if loops else 0
    do(plan[:behind])
    if emit < length:
        always = {v: a[length - emit :] for v, a in always.items()}
        length = emit
    do(plan[behind:])

    def given_out(atom):
        if is_variable(atom) and atom in always:
            return always[atom]
        one = once[atom] if is_variable(atom) else jnp.asarray(atom.val, atom.aval.dtype)
        return jnp.broadcast_to(one, (length, batch_size, *one.shape))

    ys = [given_out(atom) for atom in step.y]
    return jax.tree.unflatten(jax.tree.structure(carry), last), step.y_tree.unflatten(ys)
