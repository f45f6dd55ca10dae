"""Where each sequence of a batch stands: the carry that gradient estimators thread."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrnn.base import (
    Batch,
    Carry,
    Cell,
    Key,
    Keys,
    Objective,
    Params,
    PyTree,
    Size,
    distinct,
)
from jaxrnn.jaxprs.equations import is_float, shapes_of
from jaxrnn.tokens import is_known
from jaxrnn.unroll import try_integers, unroll, where


class Sequences(NamedTuple):
    """The carry of an estimator, one row per sequence.

    Attributes:
      carry: the cell's carry, leaves [B, ...]; ignored where `fresh` is true.
      key: [B], what `init_carry` of a fresh sequence draws from.
      fresh: [B], whether the sequence has not begun.
    """

    carry: Carry
    key: Keys
    fresh: Bool[Array, " B"]


def begin(cell: Cell, params: Params, key: Key, batch_size: int) -> Sequences:
    """`batch_size` fresh sequences.

    Raises:
      ValueError: params with a leaf that has no derivatives.
    """
    _require_floats(params)
    keys = jax.random.split(key, batch_size)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
    return distinct(Sequences(carry, keys, jnp.ones(batch_size, bool)))


def _require_floats(params: Params) -> None:
    """Said here, and not where the gradient is taken: every style makes its carry first."""
    for path, leaf in jax.tree.leaves_with_path(params):
        if not is_float(leaf):
            raise ValueError(
                f"params{jax.tree_util.keystr(path)} of the cell is {leaf.dtype}, and has no "
                "gradient; keep it in the carry, or let the factory close over it"
            )


def starting_carry(cell: Cell, params: Params, sequences: Sequences) -> Carry:
    """The carry [B, ...] to unroll from. Called inside the differentiated function, so that a
    learnt initial carry receives its gradient from the sequences that are fresh."""
    initial = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, sequences.key)
    return where(sequences.fresh, initial, sequences.carry)


def proceed(sequences: Sequences, carry: Carry) -> Sequences:
    """The same sequences, begun, at `carry`."""
    return sequences._replace(carry=carry, fresh=jnp.zeros_like(sequences.fresh))


def passed_carries(cell, params, start, inputs, schedule):
    """The carry after all steps, and the carries [K + T, B, ...] in front of each of them."""

    def step(params, carry, x):
        return cell.step(params, carry, x)[0], carry

    return unroll(cell._replace(step=step), params, start, inputs, schedule=schedule)


def carry_shapes(cell: Cell, params: Params) -> Carry:
    """The carry of one example; params may be shapes."""
    return jax.eval_shape(lambda params: cell.init_carry(params, jax.random.key(0)), params)


def floats(carry: Carry) -> list[Array]:
    """The leaves that errors go through."""
    return [a for a in jax.tree.leaves(carry) if is_float(a)]


def with_floats(carry: Carry, moving: list[Array]) -> Carry:
    """`carry` with other floats."""
    leaves = iter(moving)
    return jax.tree.map(lambda a: next(leaves) if is_float(a) else a, carry)


def with_leaves(tree: PyTree, some: Mapping[int, Any]) -> PyTree:
    """`tree` with other leaves at some places."""
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten(some.get(i, leaf) for i, leaf in enumerate(leaves))


def flat_floats(carry: Carry, dtype: Any) -> Array:
    """The floats of one example's carry as one vector [C]."""
    parts = [a.astype(dtype).ravel() for a in floats(carry)]
    return jnp.concatenate(parts) if parts else jnp.zeros(0, dtype)


def require_sequences(count: Size, batch: Batch) -> None:
    """Raises: ValueError, inputs or targets of another number of sequences than the carry has."""
    for name, tree in (("inputs", batch.inputs), ("targets", batch.targets)):
        for leaf in jax.tree.leaves(tree):
            if leaf.ndim > 1 and leaf.shape[1] != count:
                raise ValueError(
                    f"the carry has {count} sequences, batch.{name} {leaf.shape[1]}; give batches "
                    "[T, B, ...] of as many, or a new carry, init(params, key, batch_size)"
                )


def require_in_vocabulary(cell: Cell, objective: Objective, params: Params, batch: Batch) -> None:
    """Shows a batch that is known to the cell and to the objective, once as it is: in the loops
    over windows and time steps they see no numbers. Of a traced batch nothing is known.

    Raises:
      ValueError: what they raise, such as a token or a target outside the vocabulary.
    """
    leaves = jax.tree.leaves(batch)
    if not all(map(is_known, leaves)):
        return
    count, (_, scored) = leaves[0].shape[1], count_steps(batch)
    over_batch = functools.partial(jax.vmap, in_axes=(None, 0))
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
    carry = jax.eval_shape(over_batch(cell.init_carry), params, key)
    try_integers(cell, params, carry, batch.inputs)
    step = jax.vmap(cell.step, in_axes=(None, 0, 0))
    outputs = jax.eval_shape(step, params, carry, shapes_of(batch.inputs, 1))[1]
    over_time = jax.tree.map(lambda y: jax.ShapeDtypeStruct((scored, *y.shape), y.dtype), outputs)
    jax.eval_shape(lambda outputs: objective(outputs, batch.targets), over_time)


def refuse_history(batch: Batch, remedy: str) -> None:
    """Raises: ValueError, a batch with time steps of history, and says `remedy`."""
    history, _ = count_steps(batch)
    if history:
        raise ValueError(f"the batch has {history} steps of history; {remedy}")


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
