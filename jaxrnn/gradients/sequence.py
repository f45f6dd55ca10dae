"""Where each sequence of a batch stands: the carry that gradient estimators thread."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool
from jaxtyping import Key as KeyArray

from jaxrnn.base import Batch, Carry, Cell, Key, Params
from jaxrnn.unroll import where


class Sequences(NamedTuple):
    """The carry of an estimator, one row per sequence.

    Attributes:
      carry: the cell's carry, leaves [B, ...]; of no account where `fresh` is true.
      key: [B], what `init_carry` of a fresh sequence draws from.
      fresh: [B], whether the sequence has not begun.
    """

    carry: Carry
    key: KeyArray[Array, " B"]
    fresh: Bool[Array, " B"]


def begin(cell: Cell, params: Params, key: Key, batch_size: int) -> Sequences:
    """`batch_size` fresh sequences."""
    keys = jax.random.split(key, batch_size)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
    return Sequences(carry, keys, jnp.ones(batch_size, bool))


def starting_carry(cell: Cell, params: Params, sequences: Sequences) -> Carry:
    """The carry [B, ...] to unroll from. Called inside the differentiated function, so that a
    learnt initial carry receives its gradient from the sequences that are fresh."""
    initial = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, sequences.key)
    return where(sequences.fresh, initial, sequences.carry)


def proceed(sequences: Sequences, carry: Carry) -> Sequences:
    """The same sequences, begun, at `carry`."""
    return sequences._replace(carry=carry, fresh=jnp.zeros_like(sequences.fresh))


def count_steps(batch: Batch) -> tuple[int, int]:
    """(K, T): time steps of history, and scored time steps."""
    total = jax.tree.leaves(batch.inputs)[0].shape[0]
    scored = jax.tree.leaves(batch.targets)[0].shape[0]
    if scored < 1:
        raise ValueError("batch.targets has no time steps; give at least one")
    if total < scored:
        raise ValueError(
            f"batch.inputs has {total} time steps, batch.targets {scored}; "
            "give at least as many inputs"
        )
    return total - scored, scored
