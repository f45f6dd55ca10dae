"""Cells against finite differences, in double precision."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import Carry, Cell, Params, X
from jaxrnn.laws.comparing import (
    LawBroken,
    named_floats,
    normal_like,
    random_projection,
    widened,
)
from jaxrnn.laws.subject import Subject, initial_carries, kept, nearby
from jaxrnn.unroll import unroll

# Of these one has to agree: the larger ones are for a cell that itself computes in float32.
DISPLACEMENTS = (1e-5, 1e-3, 1e-2)
TOLERANCE = 1e-3
# What a displacement must change, relative to the whole, to count as an influence.
NOTICEABLE = 1e-9

# The float leaves of params, carry and xs, by name.
Floats = dict[str, jax.Array]


class Point(NamedTuple):
    """Where a derivative is taken."""

    params: Params
    carry: Carry
    xs: X


# What a derivative is taken of: each of these numbers depends on all of what it is named after.
PARTS = {"outputs": (1.0, 0.0), "later carry": (0.0, 1.0)}


class Landscape(NamedTuple):
    """A number that every output, and one that every later carry of a cell influences.

    Attributes:
      value: `(part, floats) -> number`.
      gradient: of the number to every leaf.
      first: the leaves with the carry as `init_carry` has it.
      place: draws the leaves from a seed: params near those of `init`, a carry some steps on.
    """

    value: Callable[[str, Floats], float]
    gradient: Callable[[str, Floats], dict[str, np.ndarray]]
    first: Floats
    place: Callable[[int], Floats]


def gradients_are_finite_differences(subject: Subject) -> None:
    """The gradient to every float leaf of params, carry and xs agrees with central differences
    along a random direction, and is not zero where the leaf matters."""
    with jax.enable_x64(True):
        landscape = _landscape(subject)
        places = [landscape.place(seed) for seed in range(2)]
        for part in PARTS:
            for name, grad in landscape.gradient(part, landscape.first).items():
                _require_finite(part, name, grad)
            gradients = [landscape.gradient(part, floats) for floats in places]
            for floats, grads in zip(places, gradients, strict=True):
                for name, grad in grads.items():
                    _require_finite(part, name, grad)
                    _require_slope(landscape, part, floats, name, grad)
            for name, leaf in places[0].items():
                silent = not any(np.any(grads[name]) for grads in gradients)
                if silent and _has_influence(landscape, part, places[0], name, np.ones(leaf.shape)):
                    raise LawBroken(
                        f"the gradient of the {part} to {name} is zero everywhere, but to change "
                        f"it changes the {part}: something on the way is not differentiable "
                        "(rounding, a comparison, stop_gradient); a quantity that only counts "
                        "belongs in an integer leaf"
                    )


def no_dead_parameter(subject: Subject) -> None:
    """Every leaf of params, every row and column of it, influences an output or a later carry."""
    with jax.enable_x64(True):
        landscape = _landscape(subject)
        places = [landscape.place(seed) for seed in range(4)]
        gradients = [landscape.gradient(part, floats) for floats in places for part in PARTS]
        for name in places[0]:
            if not name.startswith("params"):
                continue
            felt = np.any([grads[name] != 0 for grads in gradients], axis=0)
            for where, elements in _slices(felt.shape):
                if felt[elements].any():
                    continue
                mask = np.zeros(felt.shape)
                mask[elements] = 1
                # no gradient need not mean no influence: that is for the other law
                if not any(
                    _has_influence(landscape, part, places[0], name, mask) for part in PARTS
                ):
                    raise LawBroken(
                        f"{name}{where} influences no output and no later carry; use it or leave "
                        "it out"
                    )


@kept
def _landscape(subject: Subject) -> Landscape:
    cell = _steadied(subject.cell)
    origin = widened(Point(subject.params, subject.carry, subject.xs))
    first, rebuild = named_floats(origin)

    def projected(floats, weights):
        """Of two unrolls side by side: one from the first carry, which params may determine, and
        one from the given carry."""
        params, carry, xs = rebuild(floats)
        fresh = widened(initial_carries(cell, params, subject.keys))
        both = jax.tree.map(lambda *a: jnp.concatenate(a), fresh, carry)
        # the plain loop, that the derivatives of all schedules are held against
        twice = jnp.concatenate([xs, xs], axis=1)
        end, ys = unroll(cell, params, both, twice, schedule="scan")
        later = jax.tree.map(lambda a: a[len(subject.keys) :], end)
        parts = jnp.stack([random_projection(ys, seed=1), random_projection(end, seed=2)])
        return weights @ parts, origin._replace(carry=later)

    compiled = jax.jit(jax.value_and_grad(projected, has_aux=True))

    def evaluate(part, floats):
        (value, later), grads = compiled(floats, jnp.asarray(PARTS[part]))
        return value, later, grads

    def place(seed):
        generator = np.random.default_rng(seed)
        params = nearby(origin.params, generator)
        before, xs = (jnp.asarray(normal_like(origin.xs, generator)) for _ in range(2))
        floats, _ = named_floats(origin._replace(params=params, xs=before))
        _, later, _ = evaluate("outputs", floats)
        return named_floats(later._replace(params=params, xs=xs))[0]

    return Landscape(
        value=lambda part, floats: float(evaluate(part, floats)[0]),
        gradient=lambda part, floats: jax.tree.map(np.asarray, evaluate(part, floats)[2]),
        first=first,
        place=place,
    )


def _steadied(cell: Cell) -> Cell:
    """`cell` with the carry's dtypes held, for one that names float32 somewhere inside."""

    def step(params, carry, x):
        new, y = cell.step(params, carry, x)
        return jax.tree.map(lambda a, old: a.astype(old.dtype), new, carry), y

    return cell._replace(step=step)


def _require_finite(part: str, name: str, grad: np.ndarray) -> None:
    wrong = ~np.isfinite(grad)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise LawBroken(f"the gradient of the {part} to {name} is {grad[at]} at {list(at)}")


def _require_slope(
    landscape: Landscape, part: str, floats: Floats, name: str, grad: np.ndarray
) -> None:
    """The slope along a random direction, by the gradient, agrees with one of the differences."""
    direction = normal_like(floats[name], np.random.default_rng(3))
    slope = float(np.sum(grad * direction).real)
    found = []
    for size in DISPLACEMENTS:
        moved = [jnp.asarray(floats[name] + sign * size * direction) for sign in (1, -1)]
        ahead, behind = (landscape.value(part, floats | {name: leaf}) for leaf in moved)
        found.append((ahead - behind) / (2 * size))
        if abs(found[-1] - slope) <= TOLERANCE * max(abs(slope), abs(found[-1]), 1e-3):
            return
    differences = ", ".join(f"{value:.6g}" for value in found)
    sizes = ", ".join(f"{size:g}" for size in DISPLACEMENTS)
    raise LawBroken(
        f"the slope of the {part} along a random direction of {name} is {slope:.6g} by the "
        f"gradient and {differences} by central differences of {sizes}"
    )


def _has_influence(
    landscape: Landscape, part: str, floats: Floats, name: str, mask: np.ndarray
) -> bool:
    """Whether any of several displacements of size 1 of the elements where `mask` is 1 is
    noticed."""
    here = landscape.value(part, floats)
    leaf = np.asarray(floats[name])
    for seed in range(4):
        step = normal_like(floats[name], np.random.default_rng(seed))
        there = landscape.value(part, floats | {name: jnp.asarray(leaf + mask * step)})
        if abs(there - here) > NOTICEABLE * max(1, abs(here)):
            return True
    return False


def _slices(shape: tuple[int, ...]):
    """The whole leaf, then every slice of it along each axis: rows and columns of a matrix, the
    elements of a vector."""
    yield "", ()
    for axis, size in enumerate(shape):
        for i in range(size):
            places = [":"] * len(shape)
            places[axis] = str(i)
            yield f"[{', '.join(places)}]", (slice(None),) * axis + (i,)
