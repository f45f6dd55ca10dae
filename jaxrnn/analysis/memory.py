"""How long a model remembers, as numbers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxrnn.base import require_positive


def mean_lag(by_lag: Float[Array, "... L"]) -> Float[Array, "..."]:
    """How many time steps back a prediction's connectivity lies on average,

        sum_k k w_k / sum_k w_k

    of the connectivity w [..., L] by lag. NaN where all of it is 0.
    """
    return _shares(by_lag) @ jnp.arange(by_lag.shape[-1], dtype=by_lag.dtype)


def half_life(by_lag: Float[Array, "... L"]) -> Float[Array, "..."]:
    """After how many of the newest inputs half of a prediction's connectivity is left.

    R_n = sum_(k >= n) w_k / sum_k w_k falls from R_0 = 1; the half-life is the n of R_n = 1/2,
    where R falls geometrically between two whole n. So of w_k = r^k it is log(1/2) / log r, the
    half-life of the decay, and of a prediction that depends on lag k alone it is k. NaN where all
    connectivity is 0.
    """
    share = _shares(by_lag)
    left = jnp.flip(jnp.cumsum(jnp.flip(share, -1), -1), -1)
    left = jnp.concatenate([left, jnp.zeros_like(left[..., :1])], -1)
    # the last n with more than half left, and the n behind it; n = 0 always has
    n = jnp.maximum((left > 0.5).sum(-1) - 1, 0)
    high = jnp.take_along_axis(left, n[..., None], -1)[..., 0]
    low = jnp.take_along_axis(left, n[..., None] + 1, -1)[..., 0]
    between = jnp.log(high / 0.5) / jnp.log(high / low)  # 0 where nothing is left
    found = n.astype(by_lag.dtype) + between
    return jnp.where(jnp.isnan(share).any(-1), jnp.nan, found)


def share_beyond(by_lag: Float[Array, "... L"], lag: int) -> Float[Array, "..."]:
    """The share of connectivity that lies more than `lag` time steps back. NaN where all of it
    is 0."""
    return by_lag[..., lag + 1 :].sum(-1) / by_lag.sum(-1)


def characters_seen(in_word: Bool[Array, " T"]) -> Int[Array, " T"]:
    """How many characters of the word that each position belongs to stand before it: 0 for the
    first of a word, and for what is `in_word` of none. The text is taken to begin with a word's
    first character."""
    place = jnp.arange(in_word.shape[0])
    # where the word began: behind the last position outside any
    outside = lax.cummax(jnp.where(in_word, -1, place))
    return jnp.where(in_word, place - outside - 1, 0)


class AccuracyBySeen(NamedTuple):
    """Accuracy by the number of characters already seen in the word.

    Attributes:
      accuracy: [M + 1]; NaN where there was nothing to predict.
      predictions: [M + 1], how many there were.
    """

    accuracy: Float[Array, " M+1"]
    predictions: Int[Array, " M+1"]


def accuracy_by_seen(
    correct: Bool[Array, "*shape"],
    seen: Int[Array, "*shape"],
    in_word: Bool[Array, "*shape"],
    *,
    most: int = 8,
) -> AccuracyBySeen:
    """Of the predictions whose target is `in_word`, the share that is `correct`, by how many
    characters of the target's word the model has `seen` (`characters_seen` of the targets): 0 to
    M = `most`, the last with all beyond it.

    The reference predicts the whole word at every character; here the target is whatever `correct`
    was about, of a character model the next character.

    Reference: Madsen (2019), https://doi.org/10.23915/distill.00016
    """
    require_positive(most=most)
    bins = jnp.minimum(seen, most)
    there = in_word[..., None] & jax.nn.one_hot(bins, most + 1, dtype=bool)
    axes = tuple(range(there.ndim - 1))
    predictions = there.sum(axes)
    right = (there & correct[..., None]).sum(axes)
    return AccuracyBySeen(right.astype(jnp.float32) / predictions.astype(jnp.float32), predictions)


def _shares(by_lag: Float[Array, "... L"]) -> Float[Array, "... L"]:
    return by_lag / by_lag.sum(-1, keepdims=True)
