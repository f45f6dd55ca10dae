"""What a sum over an axis makes of a value: S contracted with a vector is read, and a sum of a few
outer products stays one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from jaxrnn.schedule.matrix.factored import (
    Core,
    Factor,
    Term,
    Value,
    product,
    rearranged,
)

FEW = 8
"""Vectors up to which a matrix is read or written by each of them, where a step has them in one
array."""


def contracted(value: Value, axis: int, read: Callable[[Core, Factor, int], Term]) -> Value:
    """The sum over an axis. `read` is given S's core, the vector over the axis, and the axis; what
    it gives has the axes of S that are left, still numbered as before."""
    parts: dict[Any, Any] = {}

    def apart(factor):
        # the same ones of each term: what is written under one key is known by that
        name = id(factor.array), factor.axes
        if name not in parts:
            parts[name] = [part for part, _ in _each(factor, axis)]
        return parts[name]

    size = value.shape[axis]
    terms = [t for term in value.terms for t in _contracted(term, axis, size, read, apart)]
    shape = value.shape[:axis] + value.shape[axis + 1 :]
    found = Value(shape, tuple(terms))
    return rearranged(found, lambda a: a - (a > axis), shape)


def _contracted(
    term: Term,
    axis: int,
    size: int,
    read: Callable[..., Term],
    apart: Callable[[Factor], list[Factor]],
) -> list[Term]:
    along = [f for f in term.factors if axis in f.axes]
    beside = tuple(f for f in term.factors if axis not in f.axes)
    core = term.core
    for f in along:
        if f.identity:
            (other,) = {*f.axes} - {axis}
            others = tuple(each for each in term.factors if each is not f)
            axes = [each.axes for each in others] + [core.axes if core and core.axes else ()]
            if not any({axis, other} <= {*each} for each in axes):
                moved = Term(core, others).moved(lambda a, other=other: other if a == axis else a)
                return [moved]
    if core is None or core.axes is None or axis not in core.axes:
        if not along:
            return [Term(core, (*beside, Factor(jnp.asarray(size), ())))]
        if places := {f.one for f in along if f.one is not None}:
            (place,) = places  # no value is a product of two that were read
            here = [apart(f)[place] for f in along if f.one is None]
            return [Term(core, (*beside, *here))]
        if size <= FEW and _is_larger_than_each(along, axis):
            # a sum of few outer products stays one
            parts = zip(*map(apart, along), strict=True)
            return [Term(core, (*beside, *part)) for part in parts]
        vector = product(along)
        left = tuple(a for a in vector.axes if a != axis)
        summed = Factor(vector.array.sum(vector.axes.index(axis)), left)
        return [Term(core, (*beside, summed))]
    if core.read is not None:
        return [Term(core._replace(axes=None), beside)]
    if not along:
        along = [Factor(jnp.broadcast_to(jnp.asarray(1), (size,)), (axis,))]
    found = []
    for vector, places in _vectors(product(along), core.axes):
        term = read(core, vector, axis)
        found.append(term._replace(factors=term.factors + beside + places))
    return found


def _vectors(factor: Factor, axes: Sequence[int]) -> list[tuple[Factor, tuple[Factor, ...]]]:
    """A factor over these axes of S, or of one other as well the few of them that it is, each with
    where it stands along that: queries of a group, which one S is read by."""
    others = [a for a in factor.axes if a not in axes]
    if len(others) != 1 or factor.array.shape[factor.axes.index(others[0])] > FEW:
        return [(factor, ())]
    return [(vector, (place,)) for vector, place in _each(factor, others[0])]


def _each(factor: Factor, axis: int) -> list[tuple[Factor, Factor]]:
    """The parts of a factor along an axis, each with where it stands: 1 there, and else 0."""
    place = factor.axes.index(axis)
    left = tuple(a for a in factor.axes if a != axis)
    array = jnp.moveaxis(factor.array, place, 0)
    ones = jnp.eye(len(array), dtype=array.dtype)
    return [
        (Factor(part, left), Factor(one, (axis,), one=i))
        for i, (part, one) in enumerate(zip(array, ones, strict=True))
    ]


def _is_larger_than_each(factors: Sequence[Factor], axis: int) -> bool:
    """Whether their product is spread over more axes than any of them, but for this one."""
    spread = [{*f.axes} - {axis} for f in factors]
    return all(each != set().union(*spread) for each in spread)
