"""Branches that each example takes for itself: all are worked out, and one is chosen."""

from collections.abc import Iterable
from typing import Any

from jax import lax

from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Program,
    Variable,
    as_function,
    is_variable,
    struct_of,
    trace,
    variables,
)
from jaxrnn.unstable import opened


def without_branches(program: Program, varying: Iterable[Variable]) -> Program:
    """With choices in place of `lax.cond` and `lax.switch` by what is varying, as under `jax.vmap`
    over the examples. Those by the params alone stay: all examples take the same branch."""
    varying = set(varying)
    names: dict[Variable, Atom] = {}
    found: list[Equation] = []
    constants = dict(program.constants)

    def of(atom):
        return names.get(atom, atom) if is_variable(atom) else atom

    waiting = list(program.equations)
    while waiting:
        equation = waiting.pop(0)
        equation = equation.replace(invars=list(map(of, equation.invars)))
        if not varying.isdisjoint(variables(equation.invars)):
            varying.update(equation.outvars)
        if equation.primitive.name != "cond" or equation.invars[0] not in varying:
            found.append(equation)
            continue
        chosen = _chosen(equation)
        constants |= chosen.constants
        inside = dict(zip(chosen.inputs, equation.invars, strict=True))
        names |= inside
        waiting[:0] = chosen.equations
        names |= zip(equation.outvars, map(of, chosen.outputs), strict=True)
    return program._replace(equations=found, constants=constants).renamed(names)


def _chosen(equation: Equation) -> Program:
    """Every branch, and a choice between what they give."""
    branches = [opened(branch) for branch in equation.params["branches"]]

    def choose(index, *operands) -> list[Any]:
        made = [
            as_function(body.eqns, [*body.constvars, *body.invars], body.outvars)(*held, *operands)
            for body, held in branches
        ]
        return [lax.select_n(index, *cases) for cases in zip(*made, strict=True)]

    return trace(choose, *map(struct_of, equation.invars))
