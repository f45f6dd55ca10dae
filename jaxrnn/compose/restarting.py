"""Sequences that begin anew inside an unroll."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrnn.base import Cell, X


def resettable(cell: Cell) -> Cell:
    """`cell` on x = (x, reset): where `reset` [] is true, its carry starts anew in front of the
    time step, from `init_carry(params, key)`.

    So a stream holds one sequence after another (documents, episodes), and errors do not go from
    one into the one before; a learnt initial carry receives its gradient at every reset. A time
    step that pads between two sequences is one of its own, NaN in it would be NaN in gradients:
    `resettable(jaxrnn.pausable(cell))` leaves such steps out.

    Each reset has a key of its own, `fold_in(key, step)` with both leaves in the carry: a cell that
    draws does not repeat itself.
    """

    def init_carry(params, key):
        key_cell, key = jax.random.split(key)
        return {"cell": cell.init_carry(params, key_cell), "key": key, "step": jnp.int32(0)}

    def step(params, carry, x: tuple[X, Bool[Array, ""]]):
        x, reset = x
        fresh = cell.init_carry(params, jax.random.fold_in(carry["key"], carry["step"]))
        fresh = jax.tree.map(jnp.asarray, fresh)  # it may hold Python numbers
        start = jax.tree.map(lambda a, b: jnp.where(reset, _like(b, a), b), fresh, carry["cell"])
        new, y = cell.step(params, start, x)
        return carry | {"cell": new, "step": carry["step"] + 1}, y

    return Cell(cell.init, init_carry, step)


def _like(old: jax.Array, fresh: jax.Array) -> jax.Array:
    """What `init_carry` gives may have more bits than a step computes in."""
    return fresh if fresh.dtype == old.dtype else fresh.astype(old.dtype)
