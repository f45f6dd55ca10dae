"""Losses over a few candidates instead of a whole vocabulary: the target, and negatives drawn for
all targets together.

A head that is narrowed to the candidates' columns (`jaxrnn.rows`) gives logits [C]. From each the
losses take the logarithm of how often its word is expected among the negatives: what a model then
learns are logits of the whole vocabulary.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxrnn.base import Key, Objective


class Negatives(NamedTuple):
    """Different words, drawn one after the other from a distribution until there were enough.

    Attributes:
      ids: [n].
      draws: how many draws it took, repeated words counted.
    """

    ids: Int[Array, " n"]
    draws: Float[Array, ""]


class Candidates(NamedTuple):
    """The targets of a narrowed head.

    Attributes:
      column: [...], where the target's logit stands.
      negative: [..., C], which columns are negatives; the others are targets of other time steps,
        and unused ones.
      log_expected: [..., C], the logarithm of `expected_counts`.
    """

    column: Int[Array, "..."]
    negative: Bool[Array, "... C"]
    log_expected: Float[Array, "... C"]


def log_uniform(vocab_size: int) -> Float[np.ndarray, " V"]:
    """The probability of each id of a vocabulary sorted by frequency, the most frequent first:

        p(k) = log((k + 2) / (k + 1)) / log(V + 1)

    Near to what Zipf's law says of words. Source: TensorFlow's log_uniform_candidate_sampler.
    """
    ids = np.arange(vocab_size)
    return (np.log1p(1 / (ids + 1)) / np.log(vocab_size + 1)).astype(np.float32)


def draw_negatives(key: Key, vocab_size: int, count: int) -> Negatives:
    """`count` different ids from `log_uniform`.

    Every id comes after a time that is exponential with its probability as the rate: the order of
    arrival is that of draws without repetition, and one draw falls into a unit of time. The time
    counts up to the id that came next, so that `expected_counts` is unbiased.

    Raises:
      ValueError: a count below 1 or above the vocabulary.
    """
    if not 1 <= count <= vocab_size:
        raise ValueError(
            f"count of negatives is {count}; give 1 to {vocab_size}, the size of the vocabulary"
        )
    arrival = jax.random.exponential(key, (vocab_size,), jnp.float32) / log_uniform(vocab_size)
    # after the whole vocabulary nothing comes
    arrival = jnp.append(arrival, jnp.inf)
    # behind barriers: XLA:CPU (jaxlib 0.10.2) sorts everything where both results are cut. One for
    # each: on both together its compiler aborts where the batch is divided over devices
    times, ids = map(lax.optimization_barrier, lax.top_k(-arrival, count + 1))
    return Negatives(ids[:count], -times[count])


def expected_counts(
    ids: Int[Array, "..."], draws: Float[Array, ""], vocab_size: int
) -> Float[Array, "..."]:
    """How often each id is expected among negatives that took so many draws: at most once."""
    return -jnp.expm1(-draws * jnp.asarray(log_uniform(vocab_size))[ids])


def sampled_softmax(logits: Float[Array, "... C"], targets: Candidates) -> Float[Array, "..."]:
    """Nats of the target among itself and the negatives; a negative that is the target counts once.

    With the whole vocabulary for negatives it is the cross-entropy.

    Reference: Jean et al. (2015), https://arxiv.org/abs/1412.2007
    """
    scores = logits - targets.log_expected
    own = jax.nn.one_hot(targets.column, logits.shape[-1], dtype=bool)
    counted = jnp.where(targets.negative | own, scores, -jnp.inf)
    return jax.nn.logsumexp(counted, axis=-1) - _own(scores, targets)


def noise_contrastive(logits: Float[Array, "... C"], targets: Candidates) -> Float[Array, "..."]:
    """Nats of telling the target from noise, and each of the negatives from a target.

    A sum over all of them, so no cross-entropy and not to be compared with one. A negative that is
    the target counts as both, as in TensorFlow's `nce_loss`.

    Reference: Gutmann and Hyvarinen (2010), https://proceedings.mlr.press/v9/gutmann10a.html; of
    language models, Mnih and Teh (2012), https://arxiv.org/abs/1206.6426
    """
    scores = logits - targets.log_expected
    noise = jnp.where(targets.negative, jax.nn.softplus(scores), 0).sum(-1)
    return jax.nn.softplus(-_own(scores, targets)) + noise


CANDIDATE_LOSSES: dict[str, Objective] = {"sampled": sampled_softmax, "nce": noise_contrastive}
"""What a model can learn from a few candidates."""


def _own(scores, targets):
    return jnp.take_along_axis(scores, targets.column[..., None], axis=-1)[..., 0]
