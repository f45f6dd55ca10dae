"""Histograms: counted on the device, so that the host is given a few thousand numbers and never
the values."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxrnn.base import PyTree
from jaxrnn.runs.tensorboard.protos import HistogramProto

# TensorBoard's own buckets: each a tenth wider than the one before, from 1e-12 to 1e20, for both
# signs. Bucket i reaches from limit i - 1 up to, but not to, limit i; the last one has no end.
_SMALLEST, _GROWTH, _COUNT = 1e-12, 1.1, 774
_POSITIVE = (_SMALLEST * _GROWTH ** np.arange(_COUNT)).astype(np.float32)
LIMITS = np.concatenate([-_POSITIVE[::-1], _POSITIVE])


class Histogram(NamedTuple):
    """Of the finite values of an array, as arrays on the device.

    Attributes:
      counts: [buckets], how many values lie in each bucket of `LIMITS`, and behind the last.
      low, high: the least and the greatest value.
      total, squares: the sum of the values and of their squares.
    """

    counts: Int[Array, " buckets"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    total: Float[Array, ""]
    squares: Float[Array, ""]


def histogram(values: Float[Array, "..."]) -> Histogram:
    """What TensorBoard shows of `values`; NaN and infinities are left out."""
    flat = values.ravel().astype(jnp.float32)
    finite = jnp.isfinite(flat)
    zeros = jnp.where(finite, flat, 0.0)
    index = jnp.where(finite, bucket_of(zeros), len(LIMITS) + 1)  # out of range: dropped
    counts = jnp.zeros(len(LIMITS) + 1, jnp.int32).at[index].add(1, mode="drop")
    return Histogram(
        counts=counts,
        low=jnp.where(finite, flat, jnp.inf).min(initial=jnp.inf),
        high=jnp.where(finite, flat, -jnp.inf).max(initial=-jnp.inf),
        total=zeros.sum(),
        squares=(zeros * zeros).sum(),
    )


def bucket_of(values: Float[Array, " N"]) -> Int[Array, " N"]:
    """The bucket of each finite value: how many of `LIMITS` it has reached.

    The logarithm, which a processor takes of many values at once, finds it but for rounding at the
    buckets' ends; a look at the limits beside it settles that.
    """
    size = jnp.maximum(jnp.abs(values), np.float32(_SMALLEST / 2))
    rung = jnp.floor(jnp.log(size / np.float32(_SMALLEST)) / np.float32(np.log(_GROWTH)))
    rung = jnp.clip(rung, -1, _COUNT - 1).astype(jnp.int32)
    guess = jnp.where(values < 0, _COUNT - 1 - rung, _COUNT + 1 + rung)
    limits = jnp.asarray(np.concatenate([[-np.inf], LIMITS, [np.inf]]).astype(np.float32))
    # the guess is one off at most: limits[i] is where bucket i begins
    guess = jnp.clip(guess, 0, len(LIMITS))
    down = (values < limits[guess]).astype(jnp.int32)
    up = (values >= limits[guess + 1]).astype(jnp.int32)
    return lax.clamp(0, guess - down + up, len(LIMITS))


def to_message(found: PyTree) -> Any:
    """A `Histogram` on the host as TensorBoard's message; None where no value was finite."""
    counts = np.asarray(found.counts)
    filled = np.flatnonzero(counts)
    if not len(filled):
        return None
    here = np.arange(filled[0], filled[-1] + 1)
    # of a stretch of empty buckets only the last: together they are one
    here = here[(counts[here] > 0) | (np.append(counts, 0)[here + 1] > 0)]
    # the bucket behind the last limit has no end; TensorBoard ends it at the greatest value
    ends = np.append(LIMITS.astype(np.float64), np.finfo(np.float64).max)
    return HistogramProto(
        min=float(found.low),
        max=float(found.high),
        num=float(counts.sum()),
        sum=float(found.total),
        sum_squares=float(found.squares),
        bucket_limit=ends[here],
        bucket=counts[here],
    )
