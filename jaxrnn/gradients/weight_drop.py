"""Weights that are dropped for a training step."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import (
    Batch,
    Carry,
    GradientEstimator,
    Keys,
    Params,
    draw_bernoulli,
    named_leaves,
    path_name,
)
from jaxrnn.gradients.sequence import require_sequences
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.swept import own


class Dropping(NamedTuple):
    """The carry: that of the estimator, and what the next masks are drawn from, `fold_in(key,
    step)`. Key and step are the same for every sequence."""

    sequences: Carry
    key: Keys
    step: Int[Array, " B"]


def weight_drop(
    estimator: GradientEstimator, rate: float, names: Sequence[str] = ("w_hh",)
) -> GradientEstimator:
    """`estimator` on params of which each number is zero with probability `rate`, the others scaled
    by 1 / (1 - rate), in the leaves that `names` name.

    One mask holds for all time steps and sequences of a training step; the next one draws anew. The
    gradient is that of the loss with the masks, to the params without them. The evaluation model is
    the cell with params as they are. What is dropped is a weight and not a number of the carry, so
    a mask for each example would be a weight for each example: hence a wrapper of estimators.

    `names` are the ends of leaves' paths: "w_hh" means every leaf of that name, "layer_2.w_hh" the
    one of that layer. A style that carries credit goes on with an influence that was found under
    the masks before. Around `stateless`, not inside it.

    Raises (in `init` and `estimate`):
      ValueError: no leaf of floats has such a name.

    Reference: Merity, Keskar and Socher (2018), section 2, https://arxiv.org/abs/1708.02182, after
    Wan et al. (2013)
    """
    if not 0 <= rate < 1:
        raise ValueError(
            f"rate is {rate!r}; give the probability of a dropped weight, from 0 up to but not 1"
        )

    def init(params, key, batch_size):
        _chosen(params, names)
        key_sequences, key = jax.random.split(key)
        return Dropping(
            sequences=estimator.init(params, key_sequences, batch_size),
            key=jnp.broadcast_to(key, (batch_size, *key.shape)),
            step=jnp.zeros(batch_size, jnp.int32),
        )

    def estimate(params, carry: Dropping, batch: Batch):
        require_sequences(carry.step.shape[0], batch)
        chosen = _chosen(params, names)
        key = jax.random.fold_in(carry.key[0], carry.step[0])
        keys = dict(zip(chosen, jax.random.split(key, len(chosen)), strict=True))

        def masked(tree):
            def mask(path, leaf):
                if path_name(path) not in keys:
                    return leaf
                keep = draw_bernoulli(keys[path_name(path)], 1 - own(rate), leaf.shape)
                return jnp.where(keep, leaf / (1 - own(rate, leaf.dtype)), 0)

            return jax.tree.map_with_path(mask, tree)

        grads, sequences, metrics = estimator.estimate(masked(params), carry.sequences, batch)
        return masked(grads), Dropping(sequences, carry.key, carry.step + 1), metrics

    return GradientEstimator(init, estimate)


def _chosen(params: Params, names: Sequence[str]) -> list[str]:
    """The paths of the leaves that are meant."""
    leaves = [path for path, leaf in named_leaves(params).items() if is_float(leaf)]
    for name in names:
        if not any(_ends_in(path, name) for path in leaves):
            raise ValueError(
                f"weight_drop finds no leaf called {name!r}; name some of {', '.join(leaves)}"
            )
    return [path for path in leaves if any(_ends_in(path, name) for name in names)]


def _ends_in(path: str, name: str) -> bool:
    return f".{path}".endswith(f".{name}")
