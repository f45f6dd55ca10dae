"""Errors that are cut at drawn time steps, inside one program of fixed shapes.

Which steps are cut is data: a factor per time step and sequence, 0 where an error stops. The carry
passes every step unchanged; only the backward pass is multiplied. A linear recurrence therefore
stays a loop: worked out in parallel, its errors would pass the factors by.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxrnn.base import Batch, Cell, GradientEstimator, Key, Keys, Objective, X
from jaxrnn.gradients.bptt import bptt
from jaxrnn.gradients.sequence import Sequences, count_steps, refuse_history, require_sequences
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.unroll import Schedule


class Chances(NamedTuple):
    """What is drawn in front of a time step, by the length so far of the segment that it would
    end: entry i is for i + 1 steps.

    Attributes:
      cut: the probability that the errors are cut there.
      factor: what errors are multiplied by where they are not.
    """

    cut: np.ndarray
    factor: np.ndarray


class Cuts(NamedTuple):
    """The carry, one row per sequence: where it stands, and what its next cuts are drawn from,
    `fold_in(key, step)`."""

    sequences: Sequences
    key: Keys
    step: Int[Array, " B"]


def cut_at_random(
    cell: Cell,
    objective: Objective,
    name: str,
    chances: Callable[[int], Chances],
    schedule: Schedule,
) -> GradientEstimator:
    """`bptt` whose errors are cut by `chances(T)`, for every sequence and batch anew."""
    within = bptt(with_factors(cell), objective, schedule=schedule)

    def init(params, key, batch_size):
        key_sequences, key_cuts = jax.random.split(key)
        return Cuts(
            within.init(params, key_sequences, batch_size),
            jax.random.split(key_cuts, batch_size),
            jnp.zeros(batch_size, jnp.int32),
        )

    def estimate(params, carry: Cuts, batch: Batch):
        require_sequences(carry.step.shape[0], batch)
        refuse_history(batch, f"{name} takes none, give history 0")
        _, scored = count_steps(batch)
        keys = jax.vmap(jax.random.fold_in)(carry.key, carry.step)
        factors = jax.vmap(lambda key: draw_factors(key, chances(scored)), out_axes=1)(keys)
        batch = Batch((batch.inputs, factors), batch.targets)
        grads, sequences, metrics = within.estimate(params, carry.sequences, batch)
        return grads, Cuts(sequences, carry.key, carry.step + 1), metrics

    return GradientEstimator(init, estimate)


def draw_factors(key: Key, chances: Chances) -> Float[Array, " T"]:
    """What the errors of a sequence are multiplied by in front of each time step; 1 in front of the
    first, where its carry was given."""
    cut, factor = (jnp.asarray(a, jnp.float32) for a in chances)
    drawn = jax.random.uniform(key, cut.shape, jnp.float32)

    def step(age, drawn):
        ends = drawn < cut[age]
        return jnp.where(ends, 0, age + 1), jnp.where(ends, 0.0, factor[age])

    _, factors = lax.scan(step, jnp.zeros_like(drawn[0], jnp.int32), drawn[1:])
    return jnp.concatenate([jnp.ones_like(drawn[:1]), factors])


def survival(chances: Chances) -> np.ndarray:
    """[T, T]: the mean factor with which the error of time step t (first axis) arrives at step s.

    The age of a segment is a Markov chain, so this is a sum over the ages at s.
    """
    length = len(chances.cut)
    found = np.zeros((length, length))
    ages = np.eye(length)[0]  # the distribution at s: the batch's first step begins a segment
    for s in range(length):
        passing = ages
        for t in range(s, length):
            found[t, s] = passing.sum()
            passing = _older(passing * (1 - chances.cut) * chances.factor)
        ended = (ages * chances.cut).sum()
        ages = _older(ages * (1 - chances.cut))
        ages[0] = ended
    return found


def _older(ages: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], ages[:-1]])


def with_factors(cell: Cell) -> Cell:
    """`cell` on (x, factor): in the backward pass the errors that leave the step through its carry
    are multiplied."""

    def step(params, carry, x: tuple[X, Float[Array, ""]]):
        x, factor = x
        carry = jax.tree.map(lambda a: _scaled_back(a, factor) if is_float(a) else a, carry)
        return cell.step(params, carry, x)

    return cell._replace(step=step)


@jax.custom_jvp
def _scaled_back(a: Array, factor: Float[Array, ""]) -> Array:
    return a


@_scaled_back.defjvp
def _(primals, tangents):
    (a, factor), (da, _) = primals, tangents
    return a, factor.astype(a.dtype) * da
