"""How the leaves of a table stand side by side, a row for every word."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, Params, named_leaves, path_name
from jaxrnn.rows.narrowing import TABLES, axes_of

Leaves = dict[str, Array]


class Layout(NamedTuple):
    """Of some tables of a cell: their names, and the shapes of their leaves."""

    tables: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]


def layout_of(cell: Cell, tables: tuple[str, ...]) -> Layout:
    leaves = named_leaves(jax.eval_shape(cell.init, jax.random.key(0)))
    return Layout(tables, {name: leaves[name].shape for name in axes_of(tables)})


def without(layout: Layout, tree: Params) -> Params:
    """`tree` with `()` where the leaves of the tables stood."""
    return jax.tree.map_with_path(
        lambda path, leaf: () if path_name(path) in layout.shapes else leaf, tree
    )


def with_leaves(rest: Params, leaves: Leaves) -> Params:
    """What `without` left, with these leaves in their places."""
    return jax.tree.map_with_path(
        lambda path, leaf: leaves.get(path_name(path), leaf),
        rest,
        is_leaf=lambda node: isinstance(node, tuple) and not node,
    )


def rows_of(tree: Params, table: str) -> Float[Array, "U E"]:
    """The leaves of a table side by side."""
    leaves = named_leaves(tree)
    parts = [jnp.moveaxis(leaves[name], axis, 0) for name, axis in TABLES[table].items()]
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def leaves_of(layout: Layout, rows: dict[str, Float[Array, "U E"]]) -> Leaves:
    """The inverse, of any number of rows of each table."""
    leaves = {}
    for table, numbers in rows.items():
        start = 0
        for name, axis in TABLES[table].items():
            shape = layout.shapes[name]
            others = shape[:axis] + shape[axis + 1 :]
            end = start + math.prod(others)
            leaves[name] = jnp.moveaxis(numbers[:, start:end].reshape(-1, *others), 0, axis)
            start = end
    return leaves
