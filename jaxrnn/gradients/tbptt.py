"""Truncated backpropagation through time."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxrnn.base import (
    Batch,
    Carry,
    Cell,
    GradientEstimator,
    Objective,
    PyTree,
    require_positive,
)
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.sequence import (
    Sequences,
    begin,
    count_steps,
    join_floats,
    passed_carries,
    proceed,
    split_floats,
    starting_carry,
)
from jaxrnn.unroll import Schedule, unroll, where


def tbptt(
    cell: Cell, objective: Objective, *, window: int, stride: int, schedule: Schedule = "auto"
) -> GradientEstimator:
    """Every `stride` time steps, the errors of the last `stride` steps go back at most `window`
    steps.

    This is BPTT(h; h') of Williams and Peng with h = window, h' = stride. `window == stride` is
    "TensorFlow style", `stride == 1` is true truncated backpropagation, `window == stride == T`
    is `bptt`. The batch brings K steps of history before its T scored ones: `0 <= K <= window -
    stride`, T a multiple of `stride`. K = window - stride lets every error go its full way; with
    fewer, the first windows are cut at the batch's edge. The T / stride gradients are averaged.
    The carry given stands before `inputs[0]`, the one returned T steps on, where the next batch's
    history begins.

    Each time step runs forwards once where windows only touch, and twice where they overlap; the
    carry's errors go back through it window / stride times, and meet the weights once. Memory is
    O(stride), or O(K + T) carries where windows overlap. `schedule` is that of `unroll`.

    Reference: Williams and Peng (1990), https://doi.org/10.1162/neco.1990.2.4.490
    """
    require_positive(window=window, stride=stride)
    if window < stride:
        raise ValueError(
            f"window is {window}, below the stride {stride}; give a window of at least {stride}"
        )
    styles = _consecutive if window == stride else _overlapping
    return GradientEstimator(
        init=lambda params, key, batch_size: begin(cell, params, key, batch_size),
        estimate=styles(cell, objective, window, stride, schedule),
    )


def _consecutive(cell, objective, window, stride, schedule):
    """Windows that only touch: the carry that leaves one enters the next, so each step is run
    once."""
    within = bptt(cell, objective, schedule=schedule)

    def estimate(params, carry: Sequences, batch: Batch):
        _, scored = _checked_steps(batch, window, stride)
        if scored == stride:
            return within.estimate(params, carry, batch)
        count = scored // stride
        windows = jax.tree.map(lambda a: a.reshape((count, stride, *a.shape[1:])), batch)

        def add(state, window):
            total, carry = state
            grads, carry, metrics = within.estimate(params, carry, window)
            return (jax.tree.map(jnp.add, total, grads), carry), metrics

        zeros = jax.tree.map(jnp.zeros_like, params)
        (total, carry), metrics = lax.scan(add, (zeros, carry), windows)
        mean = jax.tree.map(lambda g: g / count, total)
        return mean, carry, jax.tree.map(jnp.mean, metrics)

    return estimate


def _overlapping(cell, objective, window, stride, schedule):
    """Windows share what they can: with the same params they pass through the same carries, and
    what goes backwards is linear. So each block of time steps runs forwards once for the carries
    in front of the blocks, and once more on the way back, where the errors of every window that
    is open go through it side by side, but meet its weights as one sum."""

    def estimate(params, carry: Sequences, batch: Batch):
        history, scored = _checked_steps(batch, window, stride)
        size = math.gcd(window, stride, history)
        count = (history + scored) // size
        reach, group = window // size, stride // size  # both in blocks
        slots = -(-reach // group)  # windows that can be open at once
        start = starting_carry(cell, params, carry)
        last, passed = passed_carries(cell, params, start, batch.inputs, schedule)
        end = jax.tree.map(lambda a, b: a[scored] if history else b, passed, last)
        # history has no targets: any will do, since its losses do not count
        targets = jax.tree.map(
            lambda a: jnp.concatenate([jnp.repeat(a[:1], history, axis=0), a]), batch.targets
        )
        block = jnp.arange(count) - history // size
        blocks = Block(
            before=jax.tree.map(lambda a: a[::size], passed),
            inputs=jax.tree.map(lambda a: _in_blocks(a, size), batch.inputs),
            targets=jax.tree.map(lambda a: _in_blocks(a, size), targets),
            share=jnp.where(block >= 0, size / scored, 0.0),
            closes=(block >= 0) & (block % group == group - 1),
        )
        floats, _ = split_floats(start)
        open_windows = [jnp.zeros_like(jnp.broadcast_to(a, (slots, *a.shape))) for a in floats]

        def back(state, block: Block):
            grads, errors, age = state
            # a window opens, seen from its end, where its last block is: it takes the first slot
            shifted = [jnp.concatenate([jnp.zeros_like(e[:1]), e[:-1]]) for e in errors]
            errors = where(block.closes, shifted, errors)
            age = jnp.where(block.closes, jnp.concatenate([jnp.zeros_like(age[:1]), age[:-1]]), age)
            errors = [where(age < reach, e, jnp.zeros_like(e)) for e in errors]
            moving, rest = split_floats(block.before)

            def forward(params, moving):
                after, outputs = unroll(
                    cell,
                    params,
                    join_floats(block.before, moving, rest),
                    block.inputs,
                    schedule=schedule,
                )
                return split_floats(after)[0], objective(outputs, block.targets).mean()

            (_, loss), pull = jax.vjp(forward, params, moving)
            share = block.share.astype(loss.dtype)
            new, _ = pull(([e.sum(0) for e in errors], share * jnp.ones_like(loss)))
            own = jnp.zeros(slots, loss.dtype).at[0].set(share) * jnp.ones_like(loss)
            errors = jax.vmap(lambda error, own: pull((error, own))[1])(errors, own)
            return (jax.tree.map(jnp.add, grads, new), errors, age + 1), share * loss

        state = jax.tree.map(jnp.zeros_like, params), open_windows, jnp.full(slots, reach)
        (grads, errors, _), losses = lax.scan(back, state, blocks, reverse=True)
        # what reached the first carry belongs to params where that carry was made of them
        _, pull = jax.vjp(
            lambda params: split_floats(starting_carry(cell, params, carry))[0], params
        )
        (of_start,) = pull([e.sum(0) for e in errors])
        grads = jax.tree.map(jnp.add, grads, of_start)
        return grads, proceed(carry, end), {"loss": losses.sum()}

    return estimate


class Block(NamedTuple):
    """Time steps that windows have in common, [blocks, ...] or one of them.

    Attributes:
      before: the carry in front of it.
      inputs, targets: leaves [size, B, ...].
      share: of its mean loss in the batch's; 0 in history.
      closes: whether a window ends with it.
    """

    before: Carry
    inputs: PyTree
    targets: PyTree
    share: Array
    closes: Array


def _in_blocks(a: Array, size: int) -> Array:
    return a.reshape(-1, size, *a.shape[1:])


def _checked_steps(batch: Batch, window: int, stride: int) -> tuple[int, int]:
    history, scored = count_steps(batch)
    if history > window - stride:
        raise ValueError(
            f"the batch has {history} steps of history; "
            f"window {window} and stride {stride} use at most {window - stride}"
        )
    if scored % stride:
        raise ValueError(
            f"the batch has {scored} scored steps; give a multiple of the stride {stride}"
        )
    return history, scored
