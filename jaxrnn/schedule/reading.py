"""Reading a step: its equations, and what each needs."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrnn.base import Carry, Cell, Params, PyTree, X
from jaxrnn.schedule.devices import explicitly_sharded
from jaxrnn.unstable import (
    CALLS,
    CUSTOM,
    as_callable,
    closed_jaxpr,
    is_literal,
    new_variable,
    no_scopes,
    opened,
)


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What works on more than number by number, or draws.
HEAVY = names(
    """
    dot_general conv_general_dilated gather dynamic_slice scan while cond sort top_k
    random_bits random_fold_in random_seed random_split threefry2x32 cumsum cumprod
    cumlogsumexp cummax linear_solve cholesky eigh lu
    """
)
# What a reverse pass should not work out twice: also sums, which are smaller than what they are of,
# and the functions that a processor computes in many instructions. Writing their results out also
# keeps XLA on a CPU from fusing several of them into one loop, which it then cannot vectorise. Each
# is an array [T, B, ...] then anyway and leaves the loop if it can; what is cheap stays, for which
# such an array would cost more than it saves.
COSTLY = HEAVY | names(
    """
    exp exp2 expm1 log log1p tanh logistic erf erfc erf_inv pow rsqrt sqrt cbrt digamma lgamma
    sin cos tan asin acos atan atan2 sinh cosh asinh acosh atanh
    reduce_sum reduce_max reduce_min reduce_prod argmax argmin
    """
)
CONTROL_FLOW = ("scan", "while", "cond")


class Unreadable(Exception):
    """The step cannot be scheduled; `str()` says why, the cause's name first."""


class Step(NamedTuple):
    """One time step of one example as equations over variables.

    Attributes:
      equations: in order, calls flattened.
      params, carry, x: variables that go in, one per leaf.
      new_carry, y: variables or literals that come out.
      constants: variable to value, arrays that the step closed over.
      y_tree: the tree of y.
    """

    equations: list[Any]
    params: list[Any]
    carry: list[Any]
    x: list[Any]
    new_carry: list[Any]
    y: list[Any]
    constants: dict[Any, Any]
    y_tree: Any


def is_variable(atom: Any) -> bool:
    return not is_literal(atom)


def variables(atoms: Iterable[Any]) -> list[Any]:
    """The variables among `atoms`, each once, in order."""
    return list(dict.fromkeys(atom for atom in atoms if is_variable(atom)))


def read_step(cell: Cell, params: Params, carry: Carry, xs: X) -> Step:
    """Traces `cell.step` for one example and one time step; carry [B, ...], xs [T, B, ...].

    Raises:
      Unreadable: "explicit sharding", "effects", "custom batching", "closed-over tracer", "carry
        type" or "control flow around a weight".
    """
    if explicitly_sharded((params, carry, xs)):
        raise Unreadable(
            "explicit sharding: arrays are divided over mesh axes of type AxisType.Explicit, in "
            "which what a schedule joins may not be joined; AxisType.Auto and jax.shard_map may"
        )
    trees: list[Any] = []

    def step(params, carry, x):
        new, y = cell.step(params, carry, x)
        trees.extend([jax.tree.structure(new), jax.tree.structure(y)])
        return jax.tree.leaves(new), jax.tree.leaves(y)

    inputs = (shapes_of(params, 0), shapes_of(carry, 1), shapes_of(xs, 2))
    closed = jax.make_jaxpr(step)(*inputs)
    if closed.jaxpr.effects:
        raise Unreadable(f"effects: {', '.join(map(str, closed.jaxpr.effects))}")
    equations, outputs, constants = flatten(closed)
    if any(equation.primitive.name == "custom_vmap_call" for equation in equations):
        raise Unreadable(
            "custom batching: jax.custom_batching.custom_vmap must see the batch alone"
        )
    if any(isinstance(value, Tracer) for value in constants.values()):
        raise Unreadable("closed-over tracer: the step uses an array of the function around it")
    ahead = iter(closed.jaxpr.invars)
    groups = [[next(ahead) for _ in jax.tree.leaves(tree)] for tree in inputs]
    new_tree, y_tree = trees[-2:]
    count = new_tree.num_leaves
    if new_tree != jax.tree.structure(carry) or [_kind(v) for v in groups[1]] != [
        _kind(v) for v in outputs[:count]
    ]:
        raise Unreadable("carry type: the carry that comes out is not like the one that went in")
    of_params, of_carry, of_x = groups
    read = Step(
        equations, of_params, of_carry, of_x, outputs[:count], outputs[count:], constants, y_tree
    )
    _refuse_weights_in_control_flow(read)
    return read


def _refuse_weights_in_control_flow(step: Step) -> None:
    """A weight inside a loop or a branch of the step's own cannot have its gradient deferred."""
    weights = learnt(step)
    varying = {*step.carry, *step.x}
    for equation in step.equations:
        inputs = variables(equation.invars)
        if any(v in varying for v in inputs):
            if equation.primitive.name in CONTROL_FLOW and any(v in weights for v in inputs):
                raise Unreadable(
                    f"control flow around a weight: {equation.primitive.name} reads params"
                )
            varying.update(equation.outvars)


def learnt(step: Step) -> set[Any]:
    """The params and what is worked out of them alone: what gradients are taken of. No integers,
    and not the arrays that the step closed over."""
    found = {v for v in step.params if is_float(v.aval)}
    varying = {*step.carry, *step.x}
    for equation in step.equations:
        inputs = variables(equation.invars)
        if any(v in varying for v in inputs):
            varying.update(equation.outvars)
        elif any(v in found for v in inputs):
            found.update(v for v in equation.outvars if is_float(v.aval))
    return found


def needed(equations: Sequence[Any], targets: Iterable[Any], known: Iterable[Any]) -> list[Any]:
    """The equations, in order, that compute `targets` from what is known."""
    known = set(known)
    wanted = {atom for atom in targets if is_variable(atom) and atom not in known}
    found = []
    for equation in reversed(equations):
        if any(v in wanted for v in equation.outvars):
            found.append(equation)
            wanted |= {v for v in equation.invars if is_variable(v) and v not in known}
    return found[::-1]


def as_function(
    equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> Callable[..., list[Any]]:
    """The equations as a function of the variables `inputs`; outputs may be literals."""
    return as_callable(equations, inputs, outputs)


def flatten(
    closed: Any, custom: Collection[str] = (), functions: bool = False
) -> tuple[list[Any], list[Any], dict[Any, Any]]:
    """The equations of a jaxpr with what they call in place of calls, its outputs, and its
    constants.

    Args:
      custom: primitives with a derivative of their own that are replaced by what they compute too.
      functions: whether a function that is called, such as `jax.nn.silu`, is a scope of its name.
        Equations keep the scopes around their call in any case.
    """
    equations: list[Any] = []
    whole, values = opened(closed)
    constants = dict(zip(whole.constvars, values, strict=True))

    def called(equation):
        name = equation.primitive.name
        if name in CALLS:
            return equation.params.get("jaxpr")
        return equation.params.get(CUSTOM[name]) if name in custom else None

    def walk(jaxpr, names, scopes):
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
    return equations, outputs, constants


def scope_of(equation: Any) -> tuple[str, ...]:
    """The `jax.named_scope`s around an equation, as `chain` makes them for the parts of a model,
    without the transformations between: of "transpose(jvp(model))/layer_1" (model, layer_1)."""
    text = re.sub(r"\w*\(|\)", "", str(equation.source_info.name_stack))
    return tuple(filter(None, text.split("/")))


def expand_custom(
    equations: Sequence[Any], targets: Sequence[Any]
) -> tuple[list[Any], list[Any], dict[Any, Any]]:
    """The equations with custom derivatives replaced by what they compute, the targets' new names
    and the constants."""
    made = {v for e in equations for v in e.outvars}
    read = variables([*(v for e in equations for v in e.invars), *targets])
    inputs = [v for v in read if v not in made]
    return flatten(closed_jaxpr(equations, inputs, targets), custom=CUSTOM)


def renamed(
    equations: Sequence[Any], atoms: Iterable[Any], names: Mapping[Any, Any]
) -> tuple[list[Any], list[Any]]:
    """The equations, and atoms, reading other variables in place of those that `names` has."""

    def of(these):
        return [names.get(v, v) if is_variable(v) else v for v in these]

    return [e.replace(invars=of(e.invars)) for e in equations], of(atoms)


def is_costly(equation: Any) -> bool:
    """Whether it is in `COSTLY`, or calls what is."""
    if equation.primitive.name not in CUSTOM:
        return equation.primitive.name in COSTLY
    inside, _, _ = expand_custom([equation], equation.outvars)
    return any(e.primitive.name in COSTLY for e in inside)


def is_product(equation: Any, fixed: Collection[Any]) -> bool:
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


def is_float(kind: Any) -> bool:
    """Whether an array, or what stands for one, has derivatives."""
    return jnp.issubdtype(kind.dtype, jnp.inexact)


def _kind(atom: Any) -> tuple[Any, Any]:
    return atom.aval.shape, atom.aval.dtype


def shapes_of(tree: PyTree, leading: int) -> PyTree:
    """Without that many leading axes: of [T, B, ...] and 2, of one example at one time step."""
    return jax.eval_shape(lambda tree: jax.tree.map(lambda a: a[(0,) * leading], tree), tree)
