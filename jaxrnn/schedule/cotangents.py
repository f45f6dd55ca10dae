"""Sums of cotangents on the way back through equations."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.schedule.reading import is_variable


class Part(NamedTuple):
    """A slice that cuts one axis."""

    axis: int
    start: int
    stop: int


def part_of(equation: Any) -> Part | None:
    if equation.primitive.name != "slice":
        return None
    starts, stops, strides = (
        equation.params[name] for name in ("start_indices", "limit_indices", "strides")
    )
    shape = equation.invars[0].aval.shape
    cut = [i for i, size in enumerate(shape) if (starts[i], stops[i]) != (0, size)]
    if len(cut) != 1 or any(stride != 1 for stride in strides or ()):
        return None
    return Part(cut[0], starts[cut[0]], stops[cut[0]])


class Cotangents:
    """Sums of cotangents by variable.

    Those of slices wait until somebody asks: then what lies side by side is put side by side, where
    `jax.vjp` pads each slice with zeros and adds, which the compiler turns into a choice for every
    number.
    """

    def __init__(self):
        self.sums: dict[Any, Any] = {}
        self.parts: dict[Any, dict[Part, Any]] = {}

    def add(self, atom: Any, cotangent: Any) -> None:
        if is_variable(atom):
            self.sums[atom] = self.sums[atom] + cotangent if atom in self.sums else cotangent

    def add_part(self, variable: Any, part: Part, cotangent: Any) -> None:
        parts = self.parts.setdefault(variable, {})
        parts[part] = parts[part] + cotangent if part in parts else cotangent

    def __contains__(self, variable: Any) -> bool:
        return variable in self.sums or variable in self.parts

    def __getitem__(self, variable: Any) -> Any:
        for whole in _put_together(self.parts.pop(variable, {}), variable.aval.shape):
            self.add(variable, whole)
        return self.sums[variable]

    def of(self, variables: list[Any]) -> list[Any]:
        """None where there is none."""
        there = [v in self for v in variables]
        return [self[v] if has else None for v, has in zip(variables, there, strict=True)]


def _put_together(parts: dict[Part, Any], shape: tuple[int, ...]) -> list[Any]:
    """Arrays of this shape whose sum has every part in its place: as few as parts overlap."""
    rows: list[list[tuple[Part, Any]]] = []
    for part, value in sorted(parts.items(), key=lambda item: item[0]):
        for row in rows:
            last = row[-1][0]
            if last.axis == part.axis and last.stop <= part.start:
                row.append((part, value))
                break
        else:
            rows.append([(part, value)])
    return [_in_a_row(row, shape) for row in rows]


def _in_a_row(row: list[tuple[Part, Any]], shape: tuple[int, ...]) -> Any:
    axis, dtype = row[0][0].axis, row[0][1].dtype

    def zeros(start, stop):
        return jnp.zeros((*shape[:axis], stop - start, *shape[axis + 1 :]), dtype)

    pieces, end = [], 0
    for part, value in row:
        pieces += [zeros(end, part.start), value]
        end = part.stop
    pieces.append(zeros(end, shape[axis]))
    return jnp.concatenate([piece for piece in pieces if piece.shape[axis]], axis)
