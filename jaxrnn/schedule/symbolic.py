"""Cotangents and tangents that JAX knows to be zero and does not make."""

from typing import Any

import jax
import numpy as np
from jax.experimental.hijax import Zero

from jaxrnn.schedule.devices import zeros


def is_zero(a: Any) -> bool:
    return isinstance(a, Zero)


def made(a: Any) -> Any:
    """`a`, or the zeros it stands for."""
    if not is_zero(a):
        return a
    if a.aval.dtype == jax.dtypes.float0:
        return np.zeros(a.aval.shape, jax.dtypes.float0)
    return zeros(a.aval)


def all_made(tree: Any) -> Any:
    return jax.tree.map(made, tree, is_leaf=is_zero)
