"""Trees as vectors of real numbers, so that derivatives of any carry are matrices."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import PyTree, widest_float
from jaxrnn.jaxprs.equations import is_float


def to_vector(tree: PyTree) -> Float[Array, " C"]:
    """The numbers of `tree` that derivatives exist for, leaf after leaf; of a complex leaf the real
    parts, then the imaginary ones. Integers and keys are left out."""
    parts = []
    for leaf in filter(is_float, jax.tree.leaves(tree)):
        parts += [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]
    wide = widest_float(tree)
    return jnp.concatenate([part.astype(wide).ravel() for part in parts] or [jnp.zeros(0, wide)])


def from_vector(vector: Float[Array, " C"], like: PyTree) -> PyTree:
    """`like` with the numbers of `vector` in place of its own; what `to_vector` left out stays."""
    start = 0

    def take(leaf):
        nonlocal start
        start += leaf.size
        return vector[start - leaf.size : start].reshape(leaf.shape)

    def put(leaf):
        if not is_float(leaf):
            return leaf
        number = jax.lax.complex(take(leaf), take(leaf)) if jnp.iscomplexobj(leaf) else take(leaf)
        return number.astype(leaf.dtype)

    return jax.tree.map(put, like)
