"""Other params, or a part of them, for a cell."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxrnn.base import (
    Carry,
    Cell,
    Key,
    Params,
    PyTree,
    distinct,
    named_leaves,
    path_name,
    widest_float,
)


def reinitialised(cell: Cell, initializer: Callable[..., jax.Array]) -> Cell:
    """`cell` with every matrix of its params drawn from `initializer(key, shape, dtype)` instead;
    vectors (biases, scales) begin as the cell has them."""

    def init(key):
        params = cell.init(key)
        leaves, tree = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            initializer(k, leaf.shape, leaf.dtype) if leaf.ndim == 2 else leaf
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return tree.unflatten(drawn)

    return cell._replace(init=init)


def tied(cell: Cell, ties: Mapping[str, str]) -> Cell:
    """`cell` with some params the transposes of others: `tied(model, {"embed.w": "head.w"})` has no
    matrix of its own for its embedding, which reads the head's.

    Leaves are named by their path, a dot between its parts. Where the first leaf of a pair stood,
    the params have `()`; the second begins as `cell` has it and receives both gradients.

    Raises:
      ValueError: a leaf that `cell` does not have, one that is itself tied, or a shape that is not
        the other's transposed.

    Reference: Press and Wolf (2017), https://arxiv.org/abs/1608.05859; Inan et al. (2017),
    https://arxiv.org/abs/1611.01462
    """
    ties = dict(ties)
    _require_ties(jax.eval_shape(cell.init, jax.random.key(0)), ties)

    def init(key):
        return jax.tree.map_with_path(
            lambda path, leaf: () if path_name(path) in ties else leaf, cell.init(key)
        )

    def whole(params):
        own = named_leaves(params)
        return jax.tree.map_with_path(
            lambda path, leaf: own[ties[path_name(path)]].T if path_name(path) in ties else leaf,
            params,
            is_leaf=_is_gap,
        )

    return Cell(
        init,
        init_carry=lambda params, key: cell.init_carry(whole(params), key),
        step=lambda params, carry, x: cell.step(whole(params), carry, x),
    )


def learnt_carry(cell: Cell) -> Cell:
    """`cell` whose initial carry is learnt: params are {"cell": those of `cell`, "carry": the
    floats of its initial carry}, which begin as `cell` has them; of complex numbers [...] the real
    and imaginary parts, [..., 2]. Integers and keys of the carry are not learnt and come from
    `cell`, of every example's own key.

    Gradients reach the initial carry from the sequences that start in a batch.
    """

    def init(key):
        key_cell, key_carry = jax.random.split(key)
        params = cell.init(key_cell)
        usual = _first_carry(cell, params, key_carry)
        # an optimizer's small updates would be lost in the fewer bits that a cell computes in
        wide = widest_float(params, usual)
        first = jax.tree.map(lambda a: _as_params(a, wide) if _has_derivatives(a) else (), usual)
        return distinct({"cell": params, "carry": first})

    def init_carry(params, key):
        usual = _first_carry(cell, params["cell"], key)
        learnt = iter(jax.tree.leaves(params["carry"]))
        return jax.tree.map(
            lambda a: _as_carry(next(learnt), a) if _has_derivatives(a) else a, usual
        )

    return Cell(
        init,
        init_carry,
        step=lambda params, carry, x: cell.step(params["cell"], carry, x),
    )


def _require_ties(shapes: Params, ties: dict[str, str]) -> None:
    leaves = named_leaves(shapes)
    for name in [*ties, *ties.values()]:
        if name not in leaves:
            raise ValueError(
                f"ties name {name!r}, and the leaves of params are {', '.join(leaves)}"
            )
    for name, source in ties.items():
        if source in ties:
            raise ValueError(
                f"ties give {name!r} the transpose of {source!r}, which is itself tied; "
                "name a leaf that stays"
            )
        if leaves[name].shape != leaves[source].shape[::-1]:
            raise ValueError(
                f"ties give {name!r} of shape {leaves[name].shape} the transpose of {source!r} of "
                f"shape {leaves[source].shape}; give cells of sizes that fit"
            )


def _is_gap(node: PyTree) -> bool:
    return isinstance(node, tuple) and not node


def _first_carry(cell: Cell, params: Params, key: Key) -> Carry:
    """It may hold Python numbers, such as a count of 0."""
    return jax.tree.map(jnp.asarray, cell.init_carry(params, key))


def _as_params(a: jax.Array, dtype: DTypeLike) -> jax.Array:
    a = jnp.stack([a.real, a.imag], axis=-1) if jnp.iscomplexobj(a) else a
    return a.astype(dtype)


def _as_carry(learnt: jax.Array, a: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(a):
        learnt = learnt.astype(a.real.dtype)  # of fewer bits there are no complex numbers
        learnt = lax.complex(learnt[..., 0], learnt[..., 1])
    return learnt.astype(a.dtype)


def _has_derivatives(a: jax.Array) -> bool:
    return jnp.issubdtype(a.dtype, jnp.inexact)
