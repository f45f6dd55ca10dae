"""Truncated backpropagation through time."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Batch, Cell, GradientEstimator, Objective, require_positive
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.sequence import (
    Sequences,
    begin,
    count_steps,
    proceed,
    require_in_vocabulary,
    require_sequences,
    starting_carry,
)
from jaxrnn.gradients.windows import overlapping
from jaxrnn.unroll import Schedule, unroll_last


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

    Each time step runs forwards once where windows only touch, or where a batch is but one window.
    Where they overlap the recurrence runs forwards three times and its errors go back window /
    stride times, but everything else (inputs, head, products with weights) is done once, for all K
    + T steps together. Memory is O(stride), or O(K + T) where windows overlap. `schedule` is that
    of `unroll`.

    Reference: Williams and Peng (1990), https://doi.org/10.1162/neco.1990.2.4.490
    """
    require_positive(window=window, stride=stride)
    if window < stride:
        raise ValueError(
            f"window is {window}, below the stride {stride}; give a window of at least {stride}"
        )
    styles = _consecutive if window == stride else overlapping
    several = styles(cell, objective, window, stride, schedule)
    single = _single(cell, objective, schedule)

    def estimate(params, carry: Sequences, batch: Batch):
        require_sequences(carry.fresh.shape[0], batch)
        _check_steps(batch, window, stride)
        require_in_vocabulary(cell, objective, params, batch)
        _, scored = count_steps(batch)
        return (single if scored == stride else several)(params, carry, batch)

    return GradientEstimator(
        init=lambda params, key, batch_size: begin(cell, params, key, batch_size),
        estimate=estimate,
    )


def _single(cell, objective, schedule):
    """One window: every error goes back to the batch's first time step."""

    def estimate(params, carry: Sequences, batch: Batch):
        history, scored = count_steps(batch)

        def mean_loss(params):
            start = starting_carry(cell, params, carry)
            end, outputs = unroll_last(cell, params, start, batch.inputs, scored, schedule=schedule)
            return objective(outputs, batch.targets).mean(), end

        (loss, end), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        if history:
            # of a carry that nobody reads (`stateless`) the compiler makes nothing
            start = starting_carry(cell, params, carry)
            first = jax.tree.map(lambda a: a[:scored], batch.inputs)
            end, _ = unroll_last(cell, params, start, first, 1, schedule=schedule)
        return grads, proceed(carry, end), {"loss": loss}

    return estimate


def _consecutive(cell, objective, window, stride, schedule):
    """Windows that only touch: the carry that leaves one enters the next, so each step is run
    once."""
    within = bptt(cell, objective, schedule=schedule)

    def estimate(params, carry: Sequences, batch: Batch):
        count = count_steps(batch)[1] // stride
        if count == 1:
            return within.estimate(params, carry, batch)
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


def _check_steps(batch: Batch, window: int, stride: int) -> None:
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
