"""Truncated windows that overlap, and what they share.

With the same params all windows pass through the same carries, and what goes backwards is linear.
So one pass finds the carries in front of all blocks of time steps. Then every block is
differentiated beside the others, as a sequence of its own: that gives what its errors owe to params
inside it, and how they leave it. Only the carry's errors go on from block to block, those of every
open window side by side; what passed a block meets params at the end, for all blocks at once.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from jaxrnn.base import Batch, Carry, Cell, Metrics, Objective, Params, X
from jaxrnn.gradients.sequence import (
    Sequences,
    count_steps,
    floats,
    passed_carries,
    proceed,
    starting_carry,
    with_floats,
)
from jaxrnn.unroll import Schedule, unroll, where


class Blocks(NamedTuple):
    """Time steps that windows have in common: leaves [blocks, ...], or of one block without that
    axis.

    Attributes:
      carry: in front of them, [blocks, B, ...].
      inputs: [blocks, size, B, ...].
    """

    carry: Carry
    inputs: X


class Windows(NamedTuple):
    """What goes from block to block, backwards.

    Attributes:
      errors: of the carry, leaves [slots, B, ...], a slot for every window that is open.
      age: how many blocks each of them has passed; one that passed its window's is over.
      arrived: errors that came to the carry in front of the block, of all windows, [B, ...].
    """

    errors: list[Array]
    age: Int[Array, " slots"]
    arrived: list[Array]


def overlapping(
    cell: Cell, objective: Objective, window: int, stride: int, schedule: Schedule
) -> Callable[[Params, Sequences, Batch], tuple[Params, Sequences, Metrics]]:
    """The `estimate` of `tbptt` where window > stride."""

    def run(params: Params, moving: list[Array], block: Blocks):
        """A block's time steps: the floats of the carry behind them, and the outputs."""
        before = with_floats(block.carry, moving)
        after, outputs = unroll(cell, params, before, block.inputs, schedule=schedule)
        return floats(after), outputs

    def run_all(params: Params, moving: list[Array], blocks: Blocks):
        """All blocks as one batch; outputs [blocks * size, B, ...]."""
        count = jax.tree.leaves(blocks.inputs)[0].shape[0]
        steps = jax.tree.map(lambda a: _merge(a.swapaxes(0, 1), 1), blocks.inputs)
        flat = Blocks(jax.tree.map(_merge, blocks.carry), steps)
        after, outputs = run(params, [_merge(a) for a in moving], flat)
        outputs = jax.tree.map(lambda a: _merge(_divide(a, count, 1).swapaxes(0, 1)), outputs)
        return [_divide(a, count) for a in after], outputs

    def estimate(params: Params, carry: Sequences, batch: Batch):
        history, scored = count_steps(batch)
        size = math.gcd(window, stride, history)
        reach, group, early = (steps // size for steps in (window, stride, history))
        count = early + scored // size
        start = starting_carry(cell, params, carry)
        last, passed = passed_carries(cell, params, start, batch.inputs, schedule)
        end = jax.tree.map(lambda a, b: a[scored] if history else b, passed, last)
        blocks = Blocks(
            carry=jax.tree.map(lambda a: a[::size], passed),
            inputs=jax.tree.map(lambda a: _divide(a, count), batch.inputs),
        )
        moving = floats(blocks.carry)

        def mean_loss(params, moving):
            late = jax.tree.map(lambda a: a[early:], blocks)
            return objective(run_all(params, moving, late)[1], batch.targets).mean()

        loss, (grads, own) = jax.value_and_grad(mean_loss, (0, 1))(
            params, [a[early:] for a in moving]
        )
        # errors of history do not count
        own = [
            jnp.concatenate([jnp.zeros_like(a[:early]), e])
            for a, e in zip(moving, own, strict=True)
        ]
        slots = -(-(reach - 1) // group)  # windows that one block can lie in, but their last ones
        closes = (jnp.arange(count) >= early) & ((jnp.arange(count) - early + 1) % group == 0)

        def back(state: Windows, block):
            steps, own, closes = block
            errors = [where(state.age < reach, e, jnp.zeros_like(e)) for e in state.errors]
            passing = [e.sum(0) for e in errors]
            _, pull = jax.vjp(lambda moving: run(params, moving, steps)[0], floats(steps.carry))
            (errors,) = jax.vmap(pull, axis_size=slots)(errors)  # of no errors if no float moves
            arrived = [e.sum(0) + a for e, a in zip(errors, own, strict=True)]
            # a window opens, seen from its end, with its last block: it takes the first slot
            errors = [where(closes, _push(e, 0.0), e) for e in errors]
            errors = [e.at[0].add(a) for e, a in zip(errors, own, strict=True)]
            age = jnp.where(closes, _push(state.age + 1, 1.0), state.age + 1)
            return Windows(errors, age, arrived), passing

        arrived = [jnp.zeros_like(a[0]) for a in moving]
        none = Windows(
            errors=[jnp.zeros_like(jnp.broadcast_to(a, (slots, *a.shape))) for a in arrived],
            age=jnp.full(slots, reach),
            arrived=arrived,
        )
        first, passing = lax.scan(back, none, (blocks, own, closes), reverse=True)
        _, pull = jax.vjp(lambda params: run_all(params, moving, blocks)[0], params)
        (of_passing,) = pull(passing)
        # what arrived at the first carry belongs to params where that carry was made of them
        _, pull = jax.vjp(lambda params: floats(starting_carry(cell, params, carry)), params)
        (of_start,) = pull(first.arrived)
        grads = jax.tree.map(lambda *parts: sum(parts), grads, of_passing, of_start)
        return grads, proceed(carry, end), {"loss": loss}

    return estimate


def _merge(a: Array, axis: int = 0) -> Array:
    """The two axes from `axis` on as one."""
    return a.reshape(*a.shape[:axis], a.shape[axis] * a.shape[axis + 1], *a.shape[axis + 2 :])


def _divide(a: Array, count: int, axis: int = 0) -> Array:
    """`axis` as two, the first of them `count` long."""
    return a.reshape(*a.shape[:axis], count, a.shape[axis] // count, *a.shape[axis + 1 :])


def _push(slots: Array, first: float) -> Array:
    """Every slot one further, the last one lost, `first` in the first."""
    return jnp.concatenate([jnp.full_like(slots[:1], first), slots[:-1]])
