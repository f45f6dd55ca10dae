"""What holds of a gradient style that draws: not of each draw, but of the mean over many."""

import jax
import numpy as np

from jaxrnn.base import PyTree
from jaxrnn.laws.comparing import LawBroken, as_numpy, leaf_name, require_same_type

# A right mean lies outside so many standard errors once in a million numbers. What is expected
# less often among all draws than `SEEN` may not come up: no standard error would know of it.
STANDARD_ERRORS, SEEN = 5.0, 5.0


def require_mean(root: str, draws: PyTree, expected: PyTree) -> None:
    """The mean of `draws`, leaves [N, ...], is `expected` within its standard error."""
    require_same_type(root, expected, jax.tree.map(lambda a: a[0], draws))
    pairs = zip(jax.tree.leaves_with_path(expected), jax.tree.leaves(draws), strict=True)
    for (path, right), drawn in pairs:
        drawn, right = _as_real(as_numpy(drawn)), _as_real(as_numpy(right))
        mean, error = drawn.mean(0), drawn.std(0) / np.sqrt(len(drawn))
        unseen = SEEN / len(drawn) * max(1.0, float(np.abs(right).max(initial=0)))
        margin = STANDARD_ERRORS * error + unseen
        wrong = ~(np.abs(mean - right) <= margin)
        if wrong.any():
            worst = tuple(int(i) for i in np.argwhere(wrong)[0])
            at = f" at {list(worst)}" if worst else ""
            raise LawBroken(
                f"{leaf_name(root, path)}{at} is {mean[worst]:.6g} over {len(drawn)} keys "
                f"(standard error {error[worst]:.2g}), it should be {right[worst]:.6g} "
                f"({wrong.sum()} of {wrong.size} numbers differ)"
            )


def _as_real(array: np.ndarray) -> np.ndarray:
    """In double precision; a complex number as two, along a last axis."""
    if np.iscomplexobj(array):
        array = np.stack([np.real(array), np.imag(array)], axis=-1)
    return array.astype(np.float64)
