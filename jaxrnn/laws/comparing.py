"""Trees held against each other, and what to say about the first leaf that differs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import PyTree
from jaxrnn.jaxprs.equations import is_float


class LawBroken(AssertionError):
    """A law does not hold; the message says what failed, with the smallest example of it."""


def leaf_name(root: str, path: tuple) -> str:
    return root + jax.tree_util.keystr(path)


def describe(leaf: jax.Array | jax.ShapeDtypeStruct) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def require_same_type(root: str, before: PyTree, after: PyTree) -> None:
    """The same structure, and the same shape and dtype of every leaf."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise LawBroken(
            f"{root} enters as {jax.tree.structure(before)} and leaves as "
            f"{jax.tree.structure(after)}; return the structure that went in"
        )
    pairs = zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in pairs:
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise LawBroken(
                f"{leaf_name(root, path)} enters as {describe(old)} and leaves as {describe(new)}"
            )


def require_close(
    root: str, left: tuple[str, PyTree], right: tuple[str, PyTree], tolerance: float
) -> None:
    """Two trees `(who says so, tree)` agree: floats within `tolerance` times the leaf's largest
    number (at least 1), integers and keys exactly, NaN only with NaN."""
    (who, a), (other, b) = left, right
    if jax.tree.structure(a) != jax.tree.structure(b):
        raise LawBroken(
            f"{root} has another structure: {who} gives {jax.tree.structure(a)}, "
            f"{other} {jax.tree.structure(b)}"
        )
    pairs = zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True)
    for (path, x), y in pairs:
        name, x, y = leaf_name(root, path), as_numpy(x), as_numpy(y)
        if x.shape != y.shape:
            raise LawBroken(
                f"{name} has another shape: {who} gives {x.shape}, {other} gives {y.shape}"
            )
        margin = 0.0
        if np.issubdtype(y.dtype, np.inexact):
            magnitudes = np.abs(y[np.isfinite(y)])
            margin = tolerance * max(1.0, float(magnitudes.max(initial=0)))
        wrong = ~np.isclose(x, y, rtol=0, atol=margin, equal_nan=True)
        if wrong.any():
            worst = tuple(int(i) for i in np.argwhere(wrong)[0])
            at = f" at {list(worst)}" if worst else ""
            raise LawBroken(
                f"{name} differs{at}: {who} gives {x[worst]:.6g}, {other} gives {y[worst]:.6g} "
                f"({wrong.sum()} of {wrong.size} numbers differ)"
            )


def as_numpy(leaf: jax.Array | np.ndarray) -> np.ndarray:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    # bfloat16 and its kind are strangers to numpy's comparisons
    strange = jnp.issubdtype(array.dtype, jnp.inexact) and array.dtype.kind not in "fc"
    return array.astype(np.float32) if strange else array


def named_floats(
    tree: PyTree,
) -> tuple[dict[str, jax.Array], Callable[[dict[str, jax.Array]], PyTree]]:
    """The leaves of a NamedTuple `tree` that derivatives exist for, by name, and the inverse."""
    leaves, structure = jax.tree.flatten_with_path(tree)
    names = [leaf_name("", path).removeprefix(".") for path, _ in leaves]
    floats = {n: leaf for n, (_, leaf) in zip(names, leaves, strict=True) if is_float(leaf)}

    def rebuild(floats):
        return structure.unflatten(
            floats.get(name, leaf) for name, (_, leaf) in zip(names, leaves, strict=True)
        )

    return floats, rebuild


def random_projection(tree: PyTree, seed: int) -> jax.Array:
    """One number that every float leaf of `tree` influences, each element with its own weight."""
    generator = np.random.default_rng(seed)
    total = jnp.zeros((), jax.dtypes.canonicalize_dtype(jnp.float64))
    for leaf in filter(is_float, jax.tree.leaves(tree)):
        parts = (leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else (leaf,)
        for part in parts:
            weights = jnp.asarray(generator.standard_normal(part.shape), total.dtype)
            total += jnp.sum(part.astype(total.dtype) * weights)
    return total


def normal_like(leaf: jax.Array, generator: np.random.Generator) -> np.ndarray:
    """Normal numbers in the shape and dtype of a float or complex leaf, without compiling."""
    numbers = generator.standard_normal(leaf.shape)
    if jnp.iscomplexobj(leaf):
        numbers = numbers + 1j * generator.standard_normal(leaf.shape)
    return numbers.astype(leaf.dtype)


def widened(tree: PyTree) -> PyTree:
    """`tree` with its float and complex leaves in double precision, inside `jax.enable_x64`."""

    def widen(leaf):
        return leaf.astype(jnp.complex128 if jnp.iscomplexobj(leaf) else jnp.float64)

    return jax.tree.map(lambda leaf: widen(leaf) if is_float(leaf) else leaf, tree)
