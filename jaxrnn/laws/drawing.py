"""What holds of a gradient style that draws: not of each draw, but of the mean over many; and of a
cell that draws: only in training."""

import jax
import numpy as np
from jaxtyping import Array

from jaxrnn.base import Carry, PyTree
from jaxrnn.cells import CellFactory
from jaxrnn.laws.comparing import (
    LawBroken,
    as_numpy,
    leaf_name,
    named_floats,
    require_close,
    require_same_type,
)
from jaxrnn.laws.derivatives import Point
from jaxrnn.laws.subject import BATCH_SIZE, Subject, initial_carries, subject
from jaxrnn.unroll import unroll

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


def draws_only_in_training(training: CellFactory, evaluation: CellFactory) -> None:
    """The two models have the same params, bit for bit, and the same carry, before and after a
    sequence; only that of training depends on the keys in its carry."""
    drawing, plain = subject(training), subject(evaluation)
    require_close("params", ("training", drawing.params), ("evaluation", plain.params), 0.0)
    require_same_type("carry", drawing.carry, plain.carry)
    (one, trained), (other, _) = _results(drawing)
    if all((one[name] == other[name]).all() for name in one):
        raise LawBroken("training gives the same with another key: it draws nothing")
    (one, evaluated), (other, _) = _results(plain)
    require_same_type("carry", trained, evaluated)
    require_close("(carry, ys)", ("evaluation", one), ("with another key", other), 0.0)


def _results(tried: Subject) -> list[tuple[dict[str, Array], Carry]]:
    """The floats of what an unroll gives, and the carry, with one key and with another."""

    @jax.jit
    def result(key):
        carry = initial_carries(tried.cell, tried.params, jax.random.split(key, BATCH_SIZE))
        end, ys = unroll(tried.cell, tried.params, carry, tried.xs, schedule="scan")
        return named_floats(Point((), end, ys))[0], end

    return [result(jax.random.key(seed)) for seed in range(2)]


def _as_real(array: np.ndarray) -> np.ndarray:
    """In double precision; a complex number as two, along a last axis."""
    if np.iscomplexobj(array):
        array = np.stack([np.real(array), np.imag(array)], axis=-1)
    return array.astype(np.float64)
