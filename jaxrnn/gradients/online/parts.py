"""A cell of complex numbers as one of real ones, whose influences are ordinary derivatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Cell, Params, PyTree


class Parts(NamedTuple):
    """In the place of a complex leaf; others stay as they are."""

    re: jax.Array
    im: jax.Array


def parted(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: Parts(a.real, a.imag) if jnp.iscomplexobj(a) else a, tree)


def whole(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: lax.complex(*a) if _is_parts(a) else a, tree, is_leaf=_is_parts)


def as_gradient(grads: Params) -> Params:
    """Of a complex param dL/dx - i dL/dy, as JAX has it."""
    return jax.tree.map(
        lambda a: lax.complex(a.re, -a.im) if _is_parts(a) else a, grads, is_leaf=_is_parts
    )


def in_parts(cell: Cell) -> Cell:
    """`cell` whose params and carry are `parted`; one of real numbers is the same program."""

    def step(params, carry, x):
        carry, y = cell.step(whole(params), whole(carry), x)
        return parted(carry), y

    return Cell(
        init=lambda key: parted(cell.init(key)),
        init_carry=lambda params, key: parted(cell.init_carry(whole(params), key)),
        step=step,
    )


def _is_parts(node: PyTree) -> bool:
    return isinstance(node, Parts)
