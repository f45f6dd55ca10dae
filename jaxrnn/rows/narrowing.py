"""Tables narrowed to the words of a batch.

A model with an embedding and a head over V words reads only some rows of these in a training step.
The same cell computes on params that hold just those rows, on tokens that count them: an `embed` or
a `linear` does not know how many words there are.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import Batch, GradientEstimator, Params, named_leaves, path_name
from jaxrnn.candidates import Candidates, Negatives, expected_counts
from jaxrnn.tokens import as_tokens, require_tokens

Rows = dict[str, Int[Array, " U"]]

TABLES: dict[str, dict[str, int]] = {"embed": {"embed.w": 0}, "head": {"head.w": 1, "head.b": 0}}
"""By table of a model of tokens: the leaves with an entry for each word, and which axis that is."""


class Narrowed(NamedTuple):
    """A batch with what it reads of the tables.

    Attributes:
      rows: of each narrowed table the ids of its rows, each once; V in the places of repetitions.
      batch: inputs count the rows of "embed", or of "head" where that is tied to it; targets are
        `Candidates` among those of "head"; of a table that is not narrowed they are tokens.
    """

    rows: Rows
    batch: Batch


def narrow(
    batch: Batch,
    vocab_size: int,
    tables: tuple[str, ...],
    negatives: Negatives | None = None,
    *,
    tied: bool = False,
) -> Narrowed:
    """A batch of tokens with the rows that it reads of `tables`: of "embed" those of its inputs, of
    "head" those of its targets and of the negatives. Where the embedding is `tied` to the head,
    "head" is both."""
    rows: Rows = {}
    require_tokens(vocab_size, token=batch.inputs, target=batch.targets)
    inputs, targets = map(as_tokens, batch)
    if "embed" in tables:
        rows["embed"], inputs = _distinct(inputs, vocab_size)
    if "head" in tables:
        if negatives is None:
            raise ValueError("negatives are None; a head is narrowed to them and the targets")
        drawn = len(negatives.ids)
        read = [negatives.ids, targets.ravel(), *([inputs.ravel()] if tied else [])]
        rows["head"], places = _distinct(jnp.concatenate(read), vocab_size)
        negative = jnp.zeros(len(rows["head"]), bool).at[places[:drawn]].set(True)
        log_expected = jnp.log(expected_counts(rows["head"], negatives.draws, vocab_size))
        shape = (*targets.shape, len(rows["head"]))
        targets = Candidates(
            places[drawn : drawn + targets.size].reshape(targets.shape),
            jnp.broadcast_to(negative, shape),
            jnp.broadcast_to(log_expected, shape),
        )
        if tied:
            inputs = places[drawn + batch.targets.size :].reshape(inputs.shape)
    return Narrowed(rows, Batch(inputs, targets))


def _distinct(tokens: Int[Array, "..."], vocab_size: int) -> tuple[Array, Array]:
    """Each token where it comes first, V where it comes again; and where each comes first."""
    flat, order = tokens.ravel(), jnp.arange(tokens.size, dtype=jnp.int32)
    # not by sorting, which takes 40 times as long on a CPU
    first = jnp.full(vocab_size, tokens.size, jnp.int32).at[flat].min(order)[flat]
    return jnp.where(first == order, flat, vocab_size), first.reshape(tokens.shape)


def take(params: Params, rows: Rows) -> Params:
    """`params` with the rows of the narrowed tables alone; where a row is none, any."""
    axes = axes_of(rows)

    def narrowed_leaf(path, leaf):
        name = path_name(path)
        if name not in axes:
            return leaf
        table, axis = axes[name]
        return jnp.take(leaf, rows[table], axis=axis, mode="clip")

    return jax.tree.map_with_path(narrowed_leaf, params)


def spread(grads: Params, params: Params, rows: Rows) -> Params:
    """Gradients of narrowed params as those of `params`: zero in all other rows."""
    axes, whole = axes_of(rows), named_leaves(params)

    def spread_leaf(path, grad):
        name = path_name(path)
        if name not in axes:
            return grad
        table, axis = axes[name]
        places = (slice(None),) * axis + (rows[table],)
        return jnp.zeros_like(whole[name]).at[places].set(grad, mode="drop")

    return jax.tree.map_with_path(spread_leaf, grads)


def narrowed(estimator: GradientEstimator) -> GradientEstimator:
    """`estimator` on `Narrowed` batches, for any optimizer: its gradients are those of whole
    tables."""

    def estimate(params, carry, batch: Narrowed):
        grads, carry, metrics = estimator.estimate(take(params, batch.rows), carry, batch.batch)
        return spread(grads, params, batch.rows), carry, metrics

    return estimator._replace(estimate=estimate)


def axes_of(tables: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Leaf name to its table and its axis of words."""
    return {leaf: (table, axis) for table in tables for leaf, axis in TABLES[table].items()}
