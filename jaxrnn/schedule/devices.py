"""Inside `jax.shard_map`: over which devices a value varies.

Sums over devices belong where a whole gradient is known, not into every time step: so all that goes
into a loop is marked as varying alike, and zeros that meet it too.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import PyTree
from jaxrnn.unstable import varying_axes


def vary_alike(tree: PyTree) -> PyTree:
    """Every leaf varying over all the axes that any leaf varies over."""
    axes = frozenset().union(*(_axes(a) for a in jax.tree.leaves(tree)))
    return jax.tree.map(lambda a: _over(a, axes), tree)


def vary_like(a: Any, like: Any) -> Any:
    return _over(a, _axes(like))


def varies_like(tree: PyTree, like: PyTree) -> bool:
    """Whether the leaves vary over no other axes than those of `like`."""
    return not frozenset().union(*map(_axes, jax.tree.leaves(tree))) - _axes(
        jax.tree.leaves(like)[0]
    )


def explicitly_sharded(tree: PyTree) -> bool:
    """Whether the type of an array says how it is divided over devices (`AxisType.Explicit`)."""
    return any(any(jax.typeof(a).sharding.spec) for a in jax.tree.leaves(tree))


def zeros(aval: Any) -> Any:
    """Zeros of an abstract value, varying as it does."""
    return _over(jnp.zeros(aval.shape, aval.dtype), varying_axes(aval))


def _axes(a: Any) -> frozenset[Any]:
    return varying_axes(jax.typeof(a))


def _over(a: Any, axes: frozenset[Any]) -> Any:
    missing = tuple(sorted(axes - _axes(a), key=str))
    return lax.pcast(a, missing, to="varying") if missing else a
