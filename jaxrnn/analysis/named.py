"""The values inside a step, by name: the one scheme of arrays, pages and TensorBoard.

    layer_1         what a part of `chain` hands on; of parts of parts "layers/first"
    output          what a cell without parts has as its output
    layer_1/c       a leaf of the carry, by its path; "layer_1/carry" of a carry that is one array,
                    where that is another value than what the part hands on
    layer_1/forget  what the cell names: `jax.ad_checkpoint.checkpoint_name(value, "forget")`
    layer_1/gate    what comes out of a sigmoid; one that is split at once is several gates
    layer_1/tanh    what comes out of a tanh

Where there are several in a part they are numbered, in the order of the step: "layer_1/gate_2",
"layer_1/output_1". A value may have several of these names. Values are floats that are worked out
of the carry and x: a part that hands on what it was given, such as dropout at rate 0, has none.
Inside a function with a derivative of its own nothing has a name.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from jaxrnn.base import Carry, Cell, Params, X, Y, named_leaves
from jaxrnn.schedule.reading import (
    as_function,
    flatten,
    is_float,
    is_variable,
    needed,
    scope_of,
    variables,
)
from jaxrnn.unstable import new_variable

Scope = tuple[str, ...]

UNITS = {"logistic": "gate", "tanh": "tanh"}
"""The operations whose results have a name without being given one."""


class NamedStep(NamedTuple):
    """A cell's step with its inside in view.

    Attributes:
      shapes: name to shape and dtype of the value, in the order of the step.
      first: name to the first name of the same value: that of the outputs, else of the cell's own
        names, else of the carry, else of the units. Its values are those to keep.
      carry: the names of the leaves of the carry.
      units: name to "gate" or "tanh".
      step: `(params, carry, x) -> (carry, y, values)`, values by first name.
      nudged: `(params, carry, x, name, nudge) -> (carry, y)`, the step with `nudge` added to the
        value `name` and all that follows from it. So the gradient to a nudge of zeros is the
        gradient to the value.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    first: dict[str, str]
    carry: tuple[str, ...]
    units: dict[str, str]
    step: Callable[[Params, Carry, X], tuple[Carry, Y, dict[str, Array]]]
    nudged: Callable[[Params, Carry, X, str, Array], tuple[Carry, Y]]

    def every(self, values: dict[str, Array]) -> dict[str, Array]:
        """Values by first name, by all their names."""
        return {name: values[first] for name, first in self.first.items()}


def name_values(cell: Cell, params: Params, carry: Carry, x: X) -> NamedStep:
    """Reads the step of `cell` for one example and one time step; arguments may be shapes."""
    closed, results = jax.make_jaxpr(cell.step, return_shape=True)(params, carry, x)
    equations, outputs, constants = flatten(closed)
    known = [*closed.jaxpr.invars, *constants]
    paths = list(named_leaves(results[0], "/"))
    varying = closed.jaxpr.invars[len(jax.tree.leaves(params)) :]
    names, first, carried, units = _find(equations, varying, paths, outputs)
    kept = {name: names[name] for name in dict.fromkeys(first.values())}

    def evaluate(wanted, inputs, values):
        """The variables `wanted`, from the values of the variables `inputs`."""
        equations_of = [_leaving(e, set(inputs)) for e in needed(equations, wanted, inputs)]
        return as_function(equations_of, inputs, wanted)(*values)

    def given(params, carry, x):
        return [*jax.tree.leaves((params, carry, x)), *constants.values()]

    def built(found):
        return jax.tree.unflatten(jax.tree.structure(results), found[: len(outputs)])

    def step(params, carry, x):
        found = evaluate([*outputs, *kept.values()], known, given(params, carry, x))
        return *built(found), dict(zip(kept, found[len(outputs) :], strict=True))

    def nudged(params, carry, x, name, nudge):
        there = given(params, carry, x)
        (value,) = evaluate([names[name]], known, there)
        return built(evaluate(outputs, [*known, names[name]], [*there, value + nudge]))

    shapes = {name: jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for name, v in names.items()}
    return NamedStep(shapes, first, carried, units, step, nudged)


def require_name(named: NamedStep, name: str) -> jax.ShapeDtypeStruct:
    """The shape of the value of that name.

    Raises:
      ValueError: there is none.
    """
    if name not in named.shapes:
        known = ", ".join(named.shapes) or "none: name parts with chain(name=cell)"
        raise ValueError(f"name is {name!r}; the values of this cell are {known}")
    return named.shapes[name]


def _leaving(equation: Any, known: set[Any]) -> Any:
    """Without computing anew what is known, such as a gate of several that are split."""
    outputs = [new_variable(v) if v in known else v for v in equation.outvars]
    return equation.replace(outvars=outputs)


class _Found(NamedTuple):
    """As in `NamedStep`, and the variable of every name."""

    names: dict[str, Any]
    first: dict[str, str]
    carry: tuple[str, ...]
    units: dict[str, str]


def _find(
    equations: Sequence[Any], varying: Sequence[Any], paths: Sequence[str], outputs: Sequence[Any]
) -> _Found:
    """The names, where `varying` goes in and a carry with leaves at `paths` comes out, then y."""
    scopes = _computed(equations, varying)
    readers: dict[Any, list[Any]] = {}
    for equation in equations:
        for v in variables(equation.invars):
            readers.setdefault(v, []).append(equation)
    carry, ys = outputs[: len(paths)], set(variables(outputs[len(paths) :]))
    names: dict[str, Any] = {}

    def add(variable, *wishes) -> str:
        """The first wish that is not the name of another value, or it with a number."""
        numbered = (f"{wishes[-1]}_{n}" for n in itertools.count(2))
        free = (n for n in itertools.chain(wishes, numbered) if names.get(n, variable) is variable)
        name = next(free)
        names[name] = variable
        return name

    for name, v in _numbered(_handed_on(scopes, readers, ys)):
        add(v, name.removesuffix("/output"))
    own = [e for e in equations if e.primitive.name == "name" and e.outvars[0] in scopes]
    for name, v in _numbered((scope_of(e), e.params["name"], e.outvars[0]) for e in own):
        add(v, name)
    carried = []
    for path, v in zip(paths, carry, strict=True):
        if is_variable(v) and v in scopes:
            alone = "output" if names.get("output") is v else "carry"
            carried.append(add(v, path, f"{path}/carry") if path else add(v, alone))
    units = {}
    for name, v in _numbered(_units(equations, scopes, readers)):
        units[add(v, name)] = name.rpartition("/")[2].partition("_")[0]

    same: dict[Any, Any] = {}  # what has been given a name is another variable
    for e in own:
        same[e.outvars[0]] = same.get(e.invars[0], e.invars[0])
    first: dict[Any, str] = {}
    for name, v in names.items():
        first.setdefault(same.get(v, v), name)
    place = {v: i for i, v in enumerate(scopes)}
    names = dict(sorted(names.items(), key=lambda item: place[item[1]]))
    firsts = {name: first[same.get(v, v)] for name, v in names.items()}
    return _Found(names, firsts, tuple(carried), units)


def _computed(equations: Sequence[Any], varying: Sequence[Any]) -> dict[Any, Scope]:
    """The floats that are worked out of what varies, in order, each with its scope."""
    found: dict[Any, Scope] = {}
    known = set(varying)
    for equation in equations:
        if not known.isdisjoint(variables(equation.invars)):
            known.update(equation.outvars)
            found |= {v: scope_of(equation) for v in equation.outvars if is_float(v.aval)}
    return found


def _handed_on(scopes, readers, ys) -> Iterator[tuple[Scope, str, Any]]:
    """What leaves a scope, and those around it."""
    for v, scope in scopes.items():
        for end in range(len(scope), 0, -1) or (0,):
            outer = scope[:end]
            if v in ys or any(scope_of(reader)[:end] != outer for reader in readers.get(v, ())):
                yield outer, "output", v


def _units(equations, scopes, readers) -> Iterator[tuple[Scope, str, Any]]:
    for equation in equations:
        kind, v = UNITS.get(equation.primitive.name), equation.outvars[0]
        if kind is not None and v in scopes:
            users = readers.get(v, [])
            divided = len(users) == 1 and users[0].primitive.name == "split"
            for part in users[0].outvars if divided else [v]:
                yield scopes[v], kind, part


def _numbered(found: Iterable[tuple[Scope, str, Any]]) -> Iterator[tuple[str, Any]]:
    """`part/word` of each, with a number behind it where a part has several of a word."""
    found = list(found)
    count, seen = Counter(each[:2] for each in found), Counter()
    for scope, word, variable in found:
        seen[scope, word] += 1
        number = f"_{seen[scope, word]}" if count[scope, word] > 1 else ""
        yield "/".join([*scope, word + number]), variable
