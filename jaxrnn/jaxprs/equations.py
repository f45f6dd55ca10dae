"""The equations of a function, and what each needs."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import PyTree
from jaxrnn.unstable import (
    CALLS,
    CUSTOM,
    as_callable,
    is_literal,
    new_variable,
    no_scopes,
    opened,
)

# The equations as a function of the values of variables: (equations, inputs, outputs).
as_function = as_callable

# JAX's own classes of these are not stable: what is read of them goes through `unstable`.
Equation = Any
Variable = Any
Atom = Any  # a variable or a literal


class Program(NamedTuple):
    """A function as equations over variables.

    Attributes:
      equations: in order, with what they call in place of calls.
      arguments: variables in the trees of the function's arguments.
      results: atoms in the tree of what it returns.
      constants: variable to value, arrays that the function closed over.
      effects: of the jaxpr, such as printing.
    """

    equations: list[Equation]
    arguments: Any
    results: Any
    constants: dict[Variable, Any]
    effects: Collection[Any]

    @property
    def inputs(self) -> list[Variable]:
        return jax.tree.leaves(self.arguments)

    @property
    def outputs(self) -> list[Atom]:
        return jax.tree.leaves(self.results)

    def with_values(self, arguments: PyTree) -> dict[Variable, Any]:
        """Variable to value: of the constants and, in order, of the inputs."""
        return self.constants | dict(zip(self.inputs, jax.tree.leaves(arguments), strict=True))

    def built(self, values: Iterable[Any]) -> PyTree:
        """Values of `outputs` as the function returns them."""
        return jax.tree.unflatten(jax.tree.structure(self.results), values)

    def without_repeats(self, primitives: Collection[str]) -> "Program":
        """With each equation of these primitives once, where it is written several times."""
        names: dict[Variable, Variable] = {}
        first: dict[Any, Equation] = {}
        for equation in self.equations:
            if equation.primitive.name in primitives:
                inputs = [names.get(a, a) if is_variable(a) else _same(a) for a in equation.invars]
                what = (equation.primitive.name, *inputs, str(equation.params))
                once = first.setdefault(what, equation)
                names |= zip(equation.outvars, once.outvars, strict=True)
        repeats = {v for v, once in names.items() if v is not once}
        kept = [e for e in self.equations if repeats.isdisjoint(e.outvars)]
        found = self._replace(equations=kept).renamed(names)
        results = jax.tree.map(lambda a: names.get(a, a) if is_variable(a) else a, self.results)
        return found._replace(results=results)

    def renamed(self, names: Mapping[Variable, Variable]) -> "Program":
        """The same program with other variables in place of those that `names` has."""

        def of(atom):
            return names.get(atom, atom) if is_variable(atom) else atom

        return self._replace(
            equations=[e.replace(invars=[of(v) for v in e.invars]) for e in self.equations],
            arguments=jax.tree.map(of, self.arguments),
            results=jax.tree.map(of, self.results),
        )


def _same(literal: Atom) -> Any:
    """Equal for literals of the same type and bits: 0.5 is written alike in any type."""
    return literal.aval, np.asarray(literal.val).tobytes()


def trace(
    function: Callable[..., PyTree],
    *arguments: PyTree,
    custom: Collection[str] = (),
    functions: bool = False,
) -> Program:
    """The program of a function; arguments may be shapes. `custom` and `functions` as in
    `flatten`."""

    def fresh(*arguments):  # JAX would take what it has traced before from its cache
        return function(*arguments)

    closed, shapes = jax.make_jaxpr(fresh, return_shape=True)(*arguments)
    program = flatten(closed, custom, functions)
    return program._replace(
        arguments=jax.tree.unflatten(jax.tree.structure(arguments), program.inputs),
        results=jax.tree.unflatten(jax.tree.structure(shapes), program.outputs),
    )


def flatten(closed: Any, custom: Collection[str] = (), functions: bool = False) -> Program:
    """The program of a jaxpr, with lists of arguments and results.

    Args:
      custom: primitives with a derivative of their own that are replaced by what they compute too.
      functions: whether a function that is called, such as `jax.nn.silu`, is a scope of its name.
        Equations keep the scopes around their call in any case.
    """
    equations: list[Equation] = []
    whole, values = opened(closed)
    constants = dict(zip(whole.constvars, values, strict=True))

    def called(equation):
        name = equation.primitive.name
        if name in CALLS:
            return equation.params.get("jaxpr")
        return equation.params.get(CUSTOM[name]) if name in custom else None

    def walk(jaxpr, names, scopes):
        names = dict(names)

        def name_of(atom):
            return names.get(atom, atom) if is_variable(atom) else atom

        for equation in jaxpr.eqns:
            inputs = [name_of(v) for v in equation.invars]
            source = equation.source_info
            source = source.replace(name_stack=scopes + source.name_stack)
            body = called(equation)
            if body is not None:
                body, values = opened(body)
                fresh = [new_variable(v) for v in body.constvars]
                constants.update(zip(fresh, values, strict=True))
                inside = dict(zip(body.constvars, fresh, strict=True))
                inside |= dict(zip(body.invars, inputs, strict=True))
                inner = source.name_stack
                function = str(equation.params.get("name", "")).strip("_<>")
                if functions and function:
                    inner = inner.extend(function)
                outputs = walk(body, inside, inner)
            else:
                # new names: a function that is called twice has the same inside
                outputs = [new_variable(v) for v in equation.outvars]
                equations.append(
                    equation.replace(invars=inputs, outvars=outputs, source_info=source)
                )
            names.update(zip(equation.outvars, outputs, strict=True))
        return [name_of(v) for v in jaxpr.outvars]

    outputs = walk(whole, {}, no_scopes())
    return Program(equations, list(whole.invars), outputs, constants, whole.effects)


def needed(
    equations: Sequence[Equation], targets: Iterable[Atom], known: Iterable[Variable]
) -> list[Equation]:
    """The equations, in order, that compute `targets` from what is known."""
    known = set(known)
    wanted = {atom for atom in targets if is_variable(atom) and atom not in known}
    found = []
    for equation in reversed(equations):
        if any(v in wanted for v in equation.outvars):
            found.append(equation)
            wanted |= {v for v in equation.invars if is_variable(v) and v not in known}
    return found[::-1]


def primitives(names: str) -> frozenset[str]:
    """The names of primitives, written one behind another."""
    return frozenset(names.split())


def is_variable(atom: Atom) -> bool:
    return not is_literal(atom)


def variables(atoms: Iterable[Atom]) -> list[Variable]:
    """The variables among `atoms`, each once, in order."""
    return list(dict.fromkeys(atom for atom in atoms if is_variable(atom)))


def made_by(equations: Iterable[Equation]) -> list[Variable]:
    return [v for e in equations for v in e.outvars]


def read_by(equations: Iterable[Equation], atoms: Iterable[Atom] = ()) -> list[Variable]:
    """What the equations read, and the variables among `atoms`, each once, in order."""
    return variables([*(v for e in equations for v in e.invars), *atoms])


def operation_of(equation: Equation) -> str:
    """What it does, in a word: its primitive, or the function with a derivative of its own."""
    name = equation.primitive.name
    body = equation.params.get(CUSTOM.get(name, ""))
    return name if body is None else opened(body)[0].debug_info.func_name


def is_float(kind: Any) -> bool:
    """Whether an array, or what stands for one, has derivatives."""
    return jnp.issubdtype(kind.dtype, jnp.inexact)


def is_product(equation: Equation, fixed: Collection[Variable]) -> bool:
    """Whether it is x @ w with x [I] of a time step and w [I, O] among the `fixed`."""
    if equation.primitive.name != "dot_general":
        return False
    x, w = equation.invars
    (of_x, of_w), (batch, _) = equation.params["dimension_numbers"]
    return (
        is_variable(x)
        and is_variable(w)
        and x not in fixed
        and w in fixed
        and (x.aval.ndim, w.aval.ndim) == (1, 2)
        and x.aval.dtype == w.aval.dtype == equation.outvars[0].aval.dtype
        and (tuple(of_x), tuple(of_w), tuple(batch)) == ((0,), (0,), ())
    )


def shapes_of(tree: PyTree, leading: int) -> PyTree:
    """Without that many leading axes: of [T, B, ...] and 2, of one example at one time step."""
    return jax.eval_shape(lambda tree: jax.tree.map(lambda a: a[(0,) * leading], tree), tree)


def struct(shape: tuple[int, ...], aval: Any) -> jax.ShapeDtypeStruct:
    """A stand-in of another shape for an abstract value, to trace with."""
    mesh = aval.sharding.mesh
    where = None if mesh.empty else jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.ShapeDtypeStruct(
        shape, aval.dtype, sharding=where, manual_axis_type=aval.manual_axis_type
    )


def struct_of(atom: Atom) -> jax.ShapeDtypeStruct:
    return struct(atom.aval.shape, atom.aval)
