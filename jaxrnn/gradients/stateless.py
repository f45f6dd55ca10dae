"""Batches without a past."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import Batch, GradientEstimator, Keys
from jaxrnn.gradients.sequence import require_sequences
from jaxrnn.schedule import vary_alike


class Restarts(NamedTuple):
    """The carry: what the next fresh start of each sequence draws from, `fold_in(key, step)`."""

    key: Keys
    step: Int[Array, " B"]


def stateless(estimator: GradientEstimator) -> GradientEstimator:
    """`estimator` with every batch starting from `init_carry`, with new keys each time.

    Costs what `estimator` costs.
    """

    def init(params, key, batch_size):
        return Restarts(jax.random.split(key, batch_size), jnp.zeros(batch_size, jnp.int32))

    def estimate(params, carry: Restarts, batch: Batch):
        require_sequences(carry.step.shape[0], batch)
        keys = jax.vmap(jax.random.fold_in)(*carry)
        # one sequence at a time, so that its start is the same on however many devices
        begun = jax.vmap(lambda key: estimator.init(params, key, 1))(keys)
        # constants of a start too are each device's own, as all that comes after it
        fresh = vary_alike(jax.tree.map(lambda a: a.squeeze(1), begun))
        grads, _, metrics = estimator.estimate(params, fresh, batch)
        return grads, carry._replace(step=carry.step + 1), metrics

    return GradientEstimator(init, estimate)
