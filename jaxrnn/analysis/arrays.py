"""Arrays to a file, for notebooks and other programs."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import PyTree, named_leaves


def write_arrays(path: Path, tree: PyTree) -> None:
    """Writes every leaf of `tree` into a compressed .npz file, under its place in the tree:
    `numpy.load(path)["carry/layer_1/h"]`.

    Random keys are written as their numbers, and floats that numpy has not (bfloat16) as float32.

    Raises:
      ValueError: a path that does not end in .npz, to which numpy would add it; or a single array
        without a place of its own.
    """
    if path.suffix != ".npz":
        raise ValueError(f"path is {path}; give one that ends in .npz")
    named = {}
    for name, leaf in named_leaves(tree, "/").items():
        if not name:
            raise ValueError("tree is a single array; give it a name, as in {'losses': losses}")
        named[name] = _to_numpy(leaf)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **named)


def _to_numpy(leaf) -> np.ndarray:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    strange = jnp.issubdtype(leaf.dtype, jnp.floating) and np.dtype(leaf.dtype).kind != "f"
    return np.asarray(leaf, np.float32 if strange else None)
