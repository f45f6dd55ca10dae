"""Control flow of a step, written out: every branch with a choice between them, all rounds of a
short loop."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
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
from jaxrnn.unstable import opened, scan_counts

ROUNDS = 8
"""Of a loop that is written out, and of loops within it together, the most: each round is as many
equations again to compile."""


def unfolded(program: Program, varying: Iterable[Variable]) -> Program:
    """With choices in place of `lax.cond` and `lax.switch` by what is varying, as under `jax.vmap`
    over the examples, and with the rounds of each `lax.scan` that reads what is varying, if they
    are few. Branches by the params alone stay: all examples take the same. An `unstack`, which is a
    primitive from JAX 0.12 on, becomes slices, as it was before; a reshape that turns axes first (a
    Fortran order) becomes both."""
    varying = set(varying)
    names: dict[Variable, Atom] = {}
    found: list[Equation] = []
    constants = dict(program.constants)

    def of(atom):
        while is_variable(atom) and atom in names:
            atom = names[atom]
        return atom

    # beside each equation how often it is written
    waiting = [(equation, 1) for equation in program.equations]
    while waiting:
        equation, times = waiting.pop(0)
        equation = equation.replace(invars=list(map(of, equation.invars)))
        name, params = equation.primitive.name, equation.params
        moves = not varying.isdisjoint(variables(equation.invars))
        if name == "cond" and equation.invars[0] in varying:
            written = _choice(equation)
        elif name == "scan" and moves and 1 <= times * params["length"] <= ROUNDS:
            written, times = _rounds(equation), times * params["length"]
        elif name == "unstack":
            written = _slices(equation)
        elif name == "reshape" and params["dimensions"] is not None:
            written = _turned(equation)
        else:
            varying.update(equation.outvars if moves else ())
            found.append(equation)
            continue
        constants |= written.constants
        names |= zip(written.inputs, equation.invars, strict=True)
        names |= zip(equation.outvars, written.outputs, strict=True)
        waiting[:0] = [(each, times) for each in written.equations]
    return program._replace(equations=found, constants=constants).renamed({v: of(v) for v in names})


def _choice(equation: Equation) -> Program:
    """Every branch, and a choice between what they give."""
    branches = [_called(branch) for branch in equation.params["branches"]]

    def choose(index, *operands) -> list[Any]:
        made = [branch(*operands) for branch in branches]
        return [lax.select_n(index, *cases) for cases in zip(*made, strict=True)]

    return trace(choose, *map(struct_of, equation.invars))


def _rounds(equation: Equation) -> Program:
    """One round of a scan after another."""
    body = _called(equation.params["jaxpr"])
    fixed, carried = scan_counts(equation.params)
    backwards = -1 if equation.params["reverse"] else 1

    def run(*operands) -> list[Any]:
        own, carry, xs = operands[:fixed], operands[fixed:][:carried], operands[fixed + carried :]
        made = []
        for i in range(equation.params["length"])[::backwards]:
            out = body(*own, *carry, *(a[i] for a in xs))
            carry = out[:carried]
            made.append(out[carried:])
        return [*carry, *(jnp.stack(each) for each in zip(*made[::backwards], strict=True))]

    return trace(run, *map(struct_of, equation.invars))


def _slices(equation: Equation) -> Program:
    axis = equation.params["axis"]

    def run(whole) -> list[Any]:
        return [lax.index_in_dim(whole, i, axis, False) for i in range(whole.shape[axis])]

    return trace(run, struct_of(equation.invars[0]))


def _turned(equation: Equation) -> Program:
    params = equation.params

    def run(a) -> list[Any]:
        return [lax.reshape(lax.transpose(a, params["dimensions"]), params["new_sizes"])]

    return trace(run, struct_of(equation.invars[0]))


def _called(closed: Any) -> Any:
    """A jaxpr with its constants as a function."""
    body, held = opened(closed)
    function = as_function(body.eqns, [*body.constvars, *body.invars], body.outvars)
    return lambda *arguments: function(*held, *arguments)
