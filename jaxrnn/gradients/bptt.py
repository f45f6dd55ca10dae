"""Backpropagation through the whole batch."""

import jax

from jaxrnn.base import Batch, Cell, GradientEstimator, Objective
from jaxrnn.gradients.sequence import (
    Sequences,
    begin,
    proceed,
    refuse_history,
    require_sequences,
    starting_carry,
)
from jaxrnn.unroll import Schedule, unroll


def bptt(cell: Cell, objective: Objective, *, schedule: Schedule = "auto") -> GradientEstimator:
    """Every error of the batch goes back to the batch's first time step: the exact gradient of
    its mean loss.

    Time and memory per training step are O(T) unrolled time steps. History is not defined here (K
    = 0). `schedule` is that of `unroll`.

    Reference: Werbos (1990), https://doi.org/10.1109/5.58337
    """

    def init(params, key, batch_size):
        return begin(cell, params, key, batch_size)

    def estimate(params, carry: Sequences, batch: Batch):
        require_sequences(carry.fresh.shape[0], batch)
        refuse_history(batch, "bptt takes none, use tbptt(window, stride)")

        def mean_loss(params):
            start = starting_carry(cell, params, carry)
            end, outputs = unroll(cell, params, start, batch.inputs, schedule=schedule)
            return objective(outputs, batch.targets).mean(), end

        (loss, end), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        return grads, proceed(carry, end), {"loss": loss}

    return GradientEstimator(init, estimate)
