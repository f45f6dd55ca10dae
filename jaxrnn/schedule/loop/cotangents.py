"""Sums of cotangents, in the backward pass through equations."""

import functools
import operator
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.jaxprs.equations import Atom, Equation, Variable, is_variable


class Slice(NamedTuple):
    """A slice that cuts one axis."""

    axis: int
    start: int
    stop: int


def slice_of(equation: Equation) -> Slice | None:
    if equation.primitive.name != "slice":
        return None
    starts, stops, strides = (
        equation.params[name] for name in ("start_indices", "limit_indices", "strides")
    )
    shape = equation.invars[0].aval.shape
    cut = [i for i, size in enumerate(shape) if (starts[i], stops[i]) != (0, size)]
    if len(cut) != 1 or any(stride != 1 for stride in strides or ()):
        return None
    return Slice(cut[0], starts[cut[0]], stops[cut[0]])


class Cotangents:
    """Sums of cotangents by variable.

    Those of slices wait until somebody asks: then what lies side by side is put side by side, where
    `jax.vjp` pads each slice with zeros and adds, which the compiler turns into a choice for every
    number.
    """

    def __init__(self):
        self.sums: dict[Variable, Any] = {}
        self.slices: dict[Variable, dict[Slice, Any]] = {}

    def add(self, atom: Atom, cotangent: Any) -> None:
        if is_variable(atom):
            self.sums[atom] = self.sums[atom] + cotangent if atom in self.sums else cotangent

    def add_slice(self, variable: Variable, where: Slice, cotangent: Any) -> None:
        slices = self.slices.setdefault(variable, {})
        slices[where] = slices[where] + cotangent if where in slices else cotangent

    def __contains__(self, variable: Variable) -> bool:
        return variable in self.sums or variable in self.slices

    def get(self, variable: Variable) -> Any:
        """None where there is none."""
        sums = [self.sums[variable]] if variable in self.sums else []
        sums += _put_together(self.slices.get(variable, {}), variable.aval.shape)
        return functools.reduce(operator.add, sums) if sums else None


def _put_together(slices: dict[Slice, Any], shape: tuple[int, ...]) -> list[Any]:
    """Arrays of this shape whose sum has every slice in its place: as few as slices overlap."""
    rows: list[list[tuple[Slice, Any]]] = []
    for where, value in sorted(slices.items(), key=lambda item: item[0]):
        for row in rows:
            last = row[-1][0]
            if last.axis == where.axis and last.stop <= where.start:
                row.append((where, value))
                break
        else:
            rows.append([(where, value)])
    return [_in_a_row(row, shape) for row in rows]


def _in_a_row(row: list[tuple[Slice, Any]], shape: tuple[int, ...]) -> Any:
    axis, dtype = row[0][0].axis, row[0][1].dtype

    def zeros(start, stop):
        return jnp.zeros((*shape[:axis], stop - start, *shape[axis + 1 :]), dtype)

    pieces, end = [], 0
    for where, value in row:
        pieces += [zeros(end, where.start), value]
        end = where.stop
    pieces.append(zeros(end, shape[axis]))
    return jnp.concatenate([piece for piece in pieces if piece.shape[axis]], axis)
