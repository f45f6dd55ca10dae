"""The names of the values between equations: the one scheme of arrays, pages and TensorBoard.

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
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax

from jaxrnn.base import named_leaves
from jaxrnn.jaxprs.equations import (
    Equation,
    Program,
    Variable,
    is_float,
    is_variable,
    variables,
)

Scope = tuple[str, ...]

UNITS = {"logistic": "gate", "tanh": "tanh"}
"""The operations whose results have a name without being given one."""


class ValueNames(NamedTuple):
    """The names of the values of a time step.

    Attributes:
      variables: name to variable, in the order of the step.
      first: name to the first name of the same value: that of the outputs, else of the cell's own
        names, else of the carry, else of the units.
      carry: the names of the leaves of the carry.
      units: name to "gate" or "tanh".
    """

    variables: dict[str, Variable]
    first: dict[str, str]
    carry: tuple[str, ...]
    units: dict[str, str]


def scope_of(equation: Equation) -> Scope:
    """The `jax.named_scope`s around an equation, as `chain` makes them for the parts of a model,
    without the transformations between: of "transpose(jvp(model))/layer_1" (model, layer_1)."""
    text = re.sub(r"\w*\(|\)", "", str(equation.source_info.name_stack))
    return tuple(filter(None, text.split("/")))


def is_transposed(equation: Equation) -> bool:
    """Whether it is of a backward pass: JAX marks what it transposes."""
    return "transpose(" in str(equation.source_info.name_stack)


def name_variables(step: Program) -> ValueNames:
    """The names in the program of `(params, carry, x) -> (carry, y)`."""
    equations, (new_carry, y) = step.equations, step.results
    scopes = _computed(equations, jax.tree.leaves(step.arguments[1:]))
    readers: dict[Variable, list[Equation]] = {}
    for equation in equations:
        for v in variables(equation.invars):
            readers.setdefault(v, []).append(equation)
    ys = set(variables(jax.tree.leaves(y)))
    names: dict[str, Variable] = {}

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
    for path, v in named_leaves(new_carry, "/").items():
        if is_variable(v) and v in scopes:
            alone = "output" if names.get("output") is v else "carry"
            carried.append(add(v, path, f"{path}/carry") if path else add(v, alone))
    units = {}
    for name, v in _numbered(_units(equations, scopes, readers)):
        units[add(v, name)] = name.rpartition("/")[2].partition("_")[0]

    same: dict[Variable, Variable] = {}  # what has been given a name is another variable
    for e in own:
        same[e.outvars[0]] = same.get(e.invars[0], e.invars[0])
    first: dict[Variable, str] = {}
    for name, v in names.items():
        first.setdefault(same.get(v, v), name)
    place = {v: i for i, v in enumerate(scopes)}
    names = dict(sorted(names.items(), key=lambda item: place[item[1]]))
    firsts = {name: first[same.get(v, v)] for name, v in names.items()}
    return ValueNames(names, firsts, tuple(carried), units)


def _computed(equations: Sequence[Equation], varying: Sequence[Variable]) -> dict[Variable, Scope]:
    """The floats that are worked out of what varies, in order, each with its scope."""
    found: dict[Variable, Scope] = {}
    known = set(varying)
    for equation in equations:
        if not known.isdisjoint(variables(equation.invars)):
            known.update(equation.outvars)
            found |= {v: scope_of(equation) for v in equation.outvars if is_float(v.aval)}
    return found


def _handed_on(scopes, readers, ys) -> Iterator[tuple[Scope, str, Variable]]:
    """What leaves a scope, and those around it."""
    for v, scope in scopes.items():
        for end in range(len(scope), 0, -1) or (0,):
            outer = scope[:end]
            if v in ys or any(scope_of(reader)[:end] != outer for reader in readers.get(v, ())):
                yield outer, "output", v


def _units(equations, scopes, readers) -> Iterator[tuple[Scope, str, Variable]]:
    for equation in equations:
        kind, v = UNITS.get(equation.primitive.name), equation.outvars[0]
        if kind is not None and v in scopes:
            users = readers.get(v, [])
            divided = len(users) == 1 and users[0].primitive.name == "split"
            for part in users[0].outvars if divided else [v]:
                yield scopes[v], kind, part


def _numbered(found: Iterable[tuple[Scope, str, Variable]]) -> Iterator[tuple[str, Variable]]:
    """`part/word` of each, with a number behind it where a part has several of a word."""
    found = list(found)
    count, seen = Counter(each[:2] for each in found), Counter()
    for scope, word, variable in found:
        seen[scope, word] += 1
        number = f"_{seen[scope, word]}" if count[scope, word] > 1 else ""
        yield "/".join([*scope, word + number]), variable
