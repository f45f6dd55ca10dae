"""First weights that all cells share: recurrent matrices orthogonal, the rest Glorot.

A cell with several gates keeps them side by side in one matrix, so that one product serves them
all. Each gate's block is drawn as the separate matrix that the equations have.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Key

_glorot = jax.nn.initializers.glorot_uniform()
_orthogonal = jax.nn.initializers.orthogonal()


def input_weights(
    key: Key, input_size: int, hidden_size: int, gates: int = 1
) -> Float[Array, "I kH"]:
    """Glorot-uniform blocks [I, H] for `gates` gates, side by side (Glorot and Bengio 2010)."""
    return _blocks(_glorot, key, input_size, hidden_size, gates)


def recurrent_weights(key: Key, hidden_size: int, gates: int = 1) -> Float[Array, "H kH"]:
    """Orthogonal blocks [H, H] for `gates` gates, side by side (Saxe et al. 2014)."""
    return _blocks(_orthogonal, key, hidden_size, hidden_size, gates)


def _blocks(initializer, key, rows, columns, gates):
    keys = jax.random.split(key, gates)
    return jnp.concatenate([initializer(k, (rows, columns)) for k in keys], axis=1)
