"""Cells that compute in fewer bits than their params have."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.base import Cell, PyTree, widest_float


def computing_in(cell: Cell, dtype: DTypeLike) -> Cell:
    """`cell` with its steps computed in `dtype`, such as bfloat16.

    Params stay as they are and are rounded where a step reads them: an optimizer's small updates
    are not lost, and gradients, which have the type of params, add up over time unrounded. The
    carry's floats are in `dtype`; y comes out in the type of params and x, float32 at least, so
    that a loss of it is not rounded.
    Integers and keys are untouched. A float32 array that `cell` itself makes in its step raises
    what it meets to float32, so in a chain each part is wrapped by itself.

    Reference: Micikevicius et al. (2018), https://arxiv.org/abs/1710.03740; bfloat16 needs none of
    its loss scaling: Kalamkar et al. (2019), https://arxiv.org/abs/1905.12322
    """

    def init_carry(params, key):
        # it may hold Python numbers
        return _floats_as(dtype, jax.tree.map(jnp.asarray, cell.init_carry(params, key)))

    def step(params, carry, x):
        new, y = cell.step(*_floats_as(dtype, (params, carry, x)))
        return _floats_as(dtype, new), _floats_as(widest_float(params, x), y)

    return Cell(cell.init, init_carry, step)


def _floats_as(dtype: DTypeLike, tree: PyTree) -> PyTree:
    return jax.tree.map(
        lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )
