"""The values inside a step, by name.

What a part of `chain` hands on has the part's name (parts of parts: "layers/first"). So does what
the scope's equations compute with a logistic function or tanh, the gates and candidates of most
cells: "layer_1/logistic", "layer_1/tanh", "layer_1/tanh_1", in the order of the equations. Any
other value has the name that the cell gives it with `jax.ad_checkpoint.checkpoint_name(value,
"forget")`: "layer_1/forget".

A part that hands on what it was given, such as dropout at rate 0, has no value of its own.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from jaxrnn.base import Carry, Cell, Params, X, Y
from jaxrnn.schedule import is_float
from jaxrnn.schedule.reading import as_function, flatten, is_variable, needed, variables

SQUASHING = ("logistic", "tanh")
"""The operations whose results have a name without being given one."""


class NamedStep(NamedTuple):
    """A cell's step with its inside in view.

    Attributes:
      shapes: name to shape and dtype of the value, in the order of the equations.
      step: `(params, carry, x) -> (carry, y, values)`, values by name.
      nudged: `(params, carry, x, name, nudge) -> (carry, y)`, the step with `nudge` added to the
        value `name` and all that follows from it. So the gradient to a nudge of zeros is the
        gradient to the value.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    step: Callable[[Params, Carry, X], tuple[Carry, Y, dict[str, Array]]]
    nudged: Callable[[Params, Carry, X, str, Array], tuple[Carry, Y]]


def name_values(cell: Cell, params: Params, carry: Carry, x: X) -> NamedStep:
    """Reads the step of `cell` for one example and one time step; arguments may be shapes."""
    trees: list[Any] = []

    def flat_step(params, carry, x):
        new, y = cell.step(params, carry, x)
        trees.extend([jax.tree.structure(new), jax.tree.structure(y)])
        return jax.tree.leaves(new), jax.tree.leaves(y)

    closed = jax.make_jaxpr(flat_step)(params, carry, x)
    equations, outputs, constants = flatten(closed)
    carry_tree, y_tree = trees
    count = carry_tree.num_leaves
    known = [*closed.jaxpr.invars, *constants]
    names = _names(equations, set(variables(outputs[count:])))

    def evaluate(wanted, inputs, values):
        """The variables `wanted`, from the values of the variables `inputs`."""
        equations_of = needed(equations, wanted, inputs)
        return as_function(equations_of, inputs, wanted)(*values)

    def given(params, carry, x):
        return [*jax.tree.leaves((params, carry, x)), *constants.values()]

    def built(found):
        return carry_tree.unflatten(found[:count]), y_tree.unflatten(found[count : len(outputs)])

    def step(params, carry, x):
        found = evaluate([*outputs, *names.values()], known, given(params, carry, x))
        return *built(found), dict(zip(names, found[len(outputs) :], strict=True))

    def nudged(params, carry, x, name, nudge):
        there = given(params, carry, x)
        (value,) = evaluate([names[name]], known, there)
        return built(evaluate(outputs, [*known, names[name]], [*there, value + nudge]))

    shapes = {name: jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for name, v in names.items()}
    return NamedStep(shapes, step, nudged)


def require_name(named: NamedStep, name: str) -> jax.ShapeDtypeStruct:
    """The shape of the value of that name.

    Raises:
      ValueError: there is none, or it is not of real numbers.
    """
    if name not in named.shapes:
        known = ", ".join(named.shapes) or "none: name parts with chain(name=cell)"
        raise ValueError(f"name is {name!r}; the values of this cell are {known}")
    if not is_float(named.shapes[name]):
        raise ValueError(f"name is {name!r}, of {named.shapes[name].dtype}; give one of floats")
    return named.shapes[name]


def _names(equations: list[Any], ys: set[Any]) -> dict[str, Any]:
    """Name to variable, in the order in which they are computed."""
    scope_of = {v: _scope(equation) for equation in equations for v in equation.outvars}
    readers: dict[Any, list[str]] = {}
    for equation in equations:
        for v in variables(equation.invars):
            readers.setdefault(v, []).append(_scope(equation))
    found: dict[str, Any] = {}

    def add(name, variable):
        numbered = (f"{name}_{n}" for n in itertools.count(1))
        found[name if name not in found else next(n for n in numbered if n not in found)] = variable

    for equation in equations:
        scope, kind = _scope(equation), equation.primitive.name
        inside = f"{scope}/" if scope else ""
        (first, *_) = equation.outvars
        if kind in SQUASHING:
            add(inside + kind, first)
        if kind == "name":
            add(inside + equation.params["name"], first)
        for v in equation.outvars:
            for outer in _and_around(scope_of[v]):
                outside = any(not _is_within(reader, outer) for reader in readers.get(v, []))
                if v in ys or outside:
                    add(outer, v)
    return {name: v for name, v in found.items() if is_variable(v)}


def _scope(equation: Any) -> str:
    """Without the transformations between the scopes, such as the vmap of "layer/vmap(gate)"."""
    parts = re.sub(r"\w*\(|\)", "", str(equation.source_info.name_stack)).split("/")
    return "/".join(filter(None, parts))


def _and_around(scope: str) -> list[str]:
    """The scope and those around it: "a/b" and "a"."""
    parts = scope.split("/") if scope else []
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _is_within(scope: str, outer: str) -> bool:
    return scope == outer or scope.startswith(f"{outer}/")
