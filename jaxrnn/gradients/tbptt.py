"""Truncated backpropagation through time."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxrnn.base import Batch, Cell, GradientEstimator, Objective, require_positive
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.sequence import (
    Sequences,
    begin,
    count_steps,
    proceed,
    starting_carry,
)
from jaxrnn.unroll import Schedule, pausable, unroll


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

    Time and memory per training step are O(T window / stride) unrolled time steps. `schedule` is
    that of `unroll`.

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
    """One pass for the carries in front of all windows; then the windows side by side as one
    batch, whose mean gradient is the mean of theirs."""

    def estimate(params, carry: Sequences, batch: Batch):
        history, scored = _checked_steps(batch, window, stride)
        count = scored // stride
        # [window, count]: which input each step of each window reads; below 0 it lies before the
        # batch
        ends = history + stride * jnp.arange(1, count + 1)
        steps = (ends - window)[None] + jnp.arange(window)[:, None]
        end, passed = _pass(cell, params, carry, batch, scored, schedule)
        start = _beside(carry, count)
        start = start._replace(
            carry=jax.tree.map(lambda a: _merge(a[jnp.maximum(steps[0], 0)], 0), passed),
            fresh=_merge(carry.fresh[None] & (steps[0] <= 0)[:, None], 0),
        )
        inputs = jax.tree.map(lambda a: _merge(a[jnp.maximum(steps, 0)], 1), batch.inputs)
        batch_size = carry.fresh.shape[0]
        inside = jnp.repeat(steps >= 0, batch_size, axis=1)
        targets = jax.tree.map(
            lambda a: _merge(a.reshape((count, stride, *a.shape[1:])).swapaxes(0, 1), 1),
            batch.targets,
        )
        all_inside = history == window - stride

        def mean_loss(params):
            first = starting_carry(cell, params, start)
            if all_inside:
                _, outputs = unroll(cell, params, first, inputs, schedule=schedule)
            else:
                paused, xs = pausable(cell), (inputs, inside)
                _, outputs = unroll(paused, params, first, xs, schedule=schedule)
            scored_outputs = jax.tree.map(lambda a: a[-stride:], outputs)
            return objective(scored_outputs, targets).mean()

        loss, grads = jax.value_and_grad(mean_loss)(params)
        return grads, proceed(carry, end), {"loss": loss}

    return estimate


def _pass(cell, params, sequences, batch, scored, schedule):
    """The carry after `scored` steps, and the carries [scored, B, ...] in front of each of them."""

    def step(params, carry, x):
        return cell.step(params, carry, x)[0], carry

    inputs = jax.tree.map(lambda a: a[:scored], batch.inputs)
    start = starting_carry(cell, params, sequences)
    return unroll(cell._replace(step=step), params, start, inputs, schedule=schedule)


def _beside(sequences: Sequences, count: int) -> Sequences:
    """`count` copies of the batch, one after another along the batch axis."""
    return jax.tree.map(lambda a: _merge(jnp.broadcast_to(a, (count, *a.shape)), 0), sequences)


def _merge(a: Array, axis: int) -> Array:
    """Axes `axis` and `axis + 1` as one."""
    return a.reshape((*a.shape[:axis], -1, *a.shape[axis + 2 :]))


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
