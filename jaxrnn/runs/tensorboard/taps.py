"""What goes on inside a cell: the values of its gates, its tanh units, its carry and its parts'
outputs, found in the equations of its step, so that any cell has them without a line of its own."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jaxrnn.base import Carry, Cell, Params, X
from jaxrnn.runs.tensorboard.scopes import Placed, Scope, placed_equations
from jaxrnn.schedule.reading import as_function, is_float, is_variable

UNITS = {"logistic": "gate", "tanh": "tanh"}
"""A gate is what comes out of a sigmoid, a tanh unit what comes out of a tanh."""


class Tap(NamedTuple):
    """A value inside a step.

    Attributes:
      name: the part that it is the output of, or `part/what`; unique in its cell.
      unit: `part/gate` or `part/tanh`, numbered where there are several; "" for what is neither.
      variable: of the step's equations.
    """

    name: str
    unit: str
    variable: Any


class _Read(NamedTuple):
    """A step's equations, and what is found in them."""

    placed: list[Placed]
    inputs: list[Any]
    outputs: list[Any]
    constants: dict[Any, Any]
    tree: Any
    taps: list[Tap]


def tapped(cell: Cell) -> Cell:
    """`cell` whose output is (y, values): those of `find_taps`, by name."""

    def step(params: Params, carry: Carry, x: X):
        read = _read(cell, params, carry, x)
        wanted = [*read.outputs, *(tap.variable for tap in read.taps)]
        equations = [placed.equation for placed in read.placed]
        run = as_function(equations, [*read.constants, *read.inputs], wanted)
        values = run(*read.constants.values(), *jax.tree.leaves((params, carry, x)))
        count = len(read.outputs)
        new, y = jax.tree.unflatten(read.tree, values[:count])
        names = [tap.name for tap in read.taps]
        return new, (y, dict(zip(names, values[count:], strict=True)))

    return cell._replace(step=step)


def find_taps(cell: Cell, params: Params, carry: Carry, x: X) -> list[Tap]:
    """What there is to see in one time step of one example; the arguments may be shapes.

    A part is a named scope of the step, as `chain` makes them. Found are: the output of each PART,
    named "PART"; each leaf of its carry, "PART/carry/leaf"; what comes out of its sigmoids and
    tanhs, "PART/gate" and "PART/tanh", numbered where there are several, in the order of the
    step. A sigmoid that is split at once is several gates. What is the same number has one name:
    the first of these. A cell without parts has its output under "output".
    """
    return _read(cell, params, carry, x).taps


def _read(cell: Cell, params: Params, carry: Carry, x: X) -> _Read:
    closed, (new, y) = jax.make_jaxpr(cell.step, return_shape=True)(params, carry, x)
    placed, outputs, constants = placed_equations(closed)
    inputs = closed.jaxpr.invars
    paths = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(new)
    ]
    moving = inputs[len(jax.tree.leaves(params)) :]
    taps = _taps(placed, moving, paths, outputs)
    return _Read(placed, inputs, outputs, constants, jax.tree.structure((new, y)), taps)


def _taps(
    placed: Sequence[Placed], moving: Sequence[Any], paths: Sequence[str], outputs: Sequence[Any]
) -> list[Tap]:
    part_of = _computed(placed, moving)
    readers: dict[Any, list[Placed]] = {}
    for each in placed:
        for atom in filter(is_variable, each.equation.invars):
            readers.setdefault(atom, []).append(each)
    carry, y = outputs[: len(paths)], [v for v in outputs[len(paths) :] if is_variable(v)]
    names: dict[Any, str] = {}
    for variable, part in part_of.items():
        leaves = any(r.part[: len(part)] != part for r in readers.get(variable, ()))
        if leaves or variable in y:
            names[variable] = "/".join(part) or "output"
    parts = {"/".join(part) for part in part_of.values()}
    for path, variable in zip(paths, carry, strict=True):
        if variable in part_of:
            names.setdefault(variable, _carry_name(path, parts))
    units: dict[Any, str] = {}
    for variable, kind in _units(placed, part_of, readers):
        units[variable] = "/".join((*part_of[variable], kind))
    units = dict(zip(units, _numbered(units.values()), strict=True))
    names = dict(zip(names, _numbered(names.values()), strict=True))
    return [
        Tap(names.get(v, units.get(v, "")), units.get(v, ""), v)
        for v in part_of
        if v in names or v in units
    ]


def _computed(placed: Sequence[Placed], moving: Sequence[Any]) -> dict[Any, Scope]:
    """The floats that are worked out of the carry and x, in order, each with its part."""
    found: dict[Any, Scope] = {}
    known = set(moving)
    for equation, part, _, _ in placed:
        if any(is_variable(atom) and atom in known for atom in equation.invars):
            known.update(equation.outvars)
            found |= {v: part for v in equation.outvars if is_float(v.aval)}
    return found


def _units(placed, part_of, readers) -> Iterator[tuple[Any, str]]:
    for equation, *_ in placed:
        kind = UNITS.get(equation.primitive.name)
        if kind is None or equation.outvars[0] not in part_of:
            continue
        users = [user.equation for user in readers.get(equation.outvars[0], ())]
        divided = len(users) == 1 and users[0].primitive.name == "split"
        for variable in users[0].outvars if divided else equation.outvars:
            yield variable, kind


def _carry_name(path: str, parts: set[str]) -> str:
    """`layer_1/c` in the part `layer_1` is `layer_1/carry/c`."""
    words = path.split("/") if path else []
    for count in range(len(words), 0, -1):
        if "/".join(words[:count]) in parts:
            return "/".join([*words[:count], "carry", *words[count:]])
    return "/".join(["carry", *words])


def _numbered(names: Any) -> list[str]:
    """Names that occur several times with a number behind each."""
    names = list(names)
    count, seen, found = Counter(names), Counter(), []
    for name in names:
        seen[name] += 1
        found.append(f"{name}_{seen[name]}" if count[name] > 1 else name)
    return found
