"""A time step as the scheduler reads it: its equations, and which of them are costly."""

from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from jaxrnn.base import Carry, Cell, Params, X
from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    flatten,
    is_float,
    is_variable,
    primitives,
    shapes_of,
    trace,
    variables,
)
from jaxrnn.jaxprs.reach import ELEMENTWISE
from jaxrnn.jaxprs.unfolding import unfolded
from jaxrnn.schedule.devices import explicitly_sharded, varies_like
from jaxrnn.unstable import CUSTOM, new_variable

DRAWS = primitives("random_bits random_fold_in random_seed random_split threefry2x32")
# What is not elementwise, or draws.
HEAVY = DRAWS | primitives(
    """
    dot_general conv_general_dilated gather dynamic_slice scan while cond sort top_k
    cumsum cumprod cumlogsumexp cummax linear_solve cholesky eigh lu
    """
)
# What a reverse pass should not work out twice: also sums, which are smaller than what they are of,
# and the functions that a processor computes in many instructions. Writing their results out also
# keeps XLA on a CPU from fusing several of them into one loop, which it then cannot vectorise. Each
# is an array [T, B, ...] then anyway and leaves the loop if it can; what is cheap stays, for which
# such an array would cost more than it saves.
COSTLY = HEAVY | primitives(
    """
    exp exp2 expm1 log log1p tanh logistic erf erfc erf_inv pow rsqrt sqrt cbrt digamma lgamma
    sin cos tan asin acos atan atan2 sinh cosh asinh acosh atanh
    reduce_sum reduce_max reduce_min reduce_prod argmax argmin
    """
)
# What is worked out once where a step says it twice, so that there is one array of it.
REPEATED = ELEMENTWISE | primitives(
    "broadcast_in_dim dot_general reshape slice split squeeze transpose"
)
CONTROL_FLOW = ("scan", "while", "cond")
CUTS = ("slice", "split")


class Unreadable(Exception):
    """The step cannot be scheduled; `str()` says why, the cause's name first."""


class Leaf(NamedTuple):
    """A leaf of the carry: its place among the leaves, what goes into a time step, what comes out
    of it."""

    place: int
    old: Variable
    new: Atom


# Along an axis, from one place to another.
Span = tuple[int | None, int, int]
ALL: Span = None, 0, 0


class Cut(NamedTuple):
    """A leaf of the carry, for which its parts are carried.

    Attributes:
      place: of the leaf, and of the first part, among the leaves.
      shape: of the leaf.
      spans: each part's; one that is `ALL` has another shape alone.
      shapes: of the parts.
    """

    place: int
    shape: tuple[int, ...]
    spans: tuple[Span, ...]
    shapes: tuple[tuple[int, ...], ...]

    def apart(self, leaves: list[Any]) -> list[Any]:
        """Leaves [B, ...] with the parts in place of the leaf."""
        whole = leaves[self.place]
        cut = [
            whole if axis is None else lax.slice_in_dim(whole, start, stop, axis=1 + axis)
            for axis, start, stop in self.spans
        ]
        parts = [a.reshape(len(a), *shape) for a, shape in zip(cut, self.shapes, strict=True)]
        return [*leaves[: self.place], *parts, *leaves[self.place + 1 :]]

    def together(self, leaves: list[Any]) -> list[Any]:
        """The other way round."""
        end = self.place + len(self.spans)
        parts = leaves[self.place : end]
        axis, *_ = self.spans[0]
        if axis is not None:
            sizes = [stop - start for _, start, stop in self.spans]
            shapes = [(*self.shape[:axis], n, *self.shape[axis + 1 :]) for n in sizes]
            parts = [a.reshape(len(a), *s) for a, s in zip(parts, shapes, strict=True)]
        whole = parts[0] if axis is None else jnp.concatenate(parts, 1 + axis)
        whole = whole.reshape(len(whole), *self.shape)
        return [*leaves[: self.place], whole, *leaves[end:]]


class Step(NamedTuple):
    """One time step of one example as equations over variables.

    Attributes:
      equations: in order, calls flattened.
      params, x: variables that go in, one per leaf; params also of what is closed over.
      closed_over: values that belong to the function around the step (a rate that is swept, what
        is differentiated there), the last of `params`.
      carry: its leaves.
      y: atoms that come out.
      constants: variable to value, arrays that the step closed over.
      y_tree: the tree of y.
      cuts: what the leaves of the carry come of, one cut after another.
    """

    equations: list[Equation]
    params: list[Variable]
    closed_over: list[Any]
    carry: list[Leaf]
    x: list[Variable]
    y: list[Atom]
    constants: dict[Variable, Any]
    y_tree: Any
    cuts: tuple[Cut, ...] = ()

    @property
    def varying(self) -> set[Variable]:
        """What goes in and is another at every time step."""
        return {*(leaf.old for leaf in self.carry), *self.x}


def read_step(cell: Cell, params: Params, carry: Carry, xs: X) -> Step:
    """Traces `cell.step` for one example and one time step; carry [B, ...], xs [T, B, ...].

    Raises:
      Unreadable: "explicit sharding", "effects", "custom batching", "closed-over tracer", "carry
        type", "control flow around a weight" or "narrow range".
    """
    if explicitly_sharded((params, carry, xs)):
        raise Unreadable(
            "explicit sharding: arrays are divided over mesh axes of type AxisType.Explicit, in "
            "which what a schedule joins may not be joined; AxisType.Auto and jax.shard_map may"
        )
    inputs = (shapes_of(params, 0), shapes_of(carry, 1), shapes_of(xs, 2))
    program = trace(cell.step, *inputs)
    if program.effects:
        raise Unreadable(f"effects: {', '.join(map(str, program.effects))}")
    program = unfolded(program, jax.tree.leaves(program.arguments[1:]))
    program = program.without_repeats(REPEATED)
    if any(equation.primitive.name == "custom_vmap_call" for equation in program.equations):
        raise Unreadable(
            "custom batching: jax.custom_batching.custom_vmap must see the batch alone"
        )
    # they take part in derivatives and in maps, as params do
    around = {v: a for v, a in program.constants.items() if isinstance(a, Tracer)}
    if not varies_like(list(around.values()), xs):
        raise Unreadable(
            "closed-over tracer: the step uses an array of the function around it that differs "
            "between devices where xs do not"
        )
    of_params, of_carry, of_x = map(jax.tree.leaves, program.arguments)
    new_carry, y = program.results
    new = jax.tree.leaves(new_carry)
    same_tree = jax.tree.structure(new_carry) == jax.tree.structure(carry)
    if not same_tree or [_kind(v) for v in of_carry] != [_kind(v) for v in new]:
        raise Unreadable("carry type: the carry that comes out is not like the one that went in")
    read = Step(
        program.equations,
        [*of_params, *around],
        [*around.values()],
        [Leaf(*each) for each in zip(range(len(new)), of_carry, new, strict=True)],
        of_x,
        jax.tree.leaves(y),
        {v: a for v, a in program.constants.items() if v not in around},
        jax.tree.structure(y),
    )
    _refuse_weights_in_control_flow(read)
    _refuse_weights_of_narrow_range(read)
    return read


def _refuse_weights_in_control_flow(step: Step) -> None:
    """A weight inside a loop or a branch of the step's own cannot have its gradient deferred."""
    weights = learnt(step)
    varying = step.varying
    for equation in step.equations:
        inputs = variables(equation.invars)
        if any(v in varying for v in inputs):
            if equation.primitive.name in CONTROL_FLOW and any(v in weights for v in inputs):
                raise Unreadable(
                    f"control flow around a weight: {equation.primitive.name} reads params"
                )
            varying.update(equation.outvars)


def _refuse_weights_of_narrow_range(step: Step) -> None:
    """A weight's gradient of all time steps and examples at once has the type that the step reads
    it in. The plain loop widens that of each time step before it adds them up: the sum is finite
    where it is not in float16, whose largest number is 65,504."""
    weights = learnt(step)
    for equation in step.equations:
        converts = equation.primitive.name == "convert_element_type"
        if converts and not weights.isdisjoint(variables(equation.invars)):
            (made,), least = equation.outvars, jnp.finfo(jnp.float32).max
            if made in weights and jnp.finfo(made.aval.dtype).max < least / 2**8:
                raise Unreadable(
                    f"narrow range: params are read as {made.aval.dtype}, in which a gradient "
                    "summed over time may overflow; bfloat16 has the range of float32"
                )


def learnt(step: Step) -> set[Variable]:
    """The params and what is worked out of them alone: what gradients are taken of. No integers,
    and not the arrays that the step closed over."""
    found = {v for v in step.params if is_float(v.aval)}
    varying = step.varying
    for equation in step.equations:
        inputs = variables(equation.invars)
        if any(v in varying for v in inputs):
            varying.update(equation.outvars)
        elif any(v in found for v in inputs):
            found.update(v for v in equation.outvars if is_float(v.aval))
    return found


def sliced_first(step: Step) -> Step:
    """The same step with f(x)[slice] as f(x[slice]), of costly functions f of which only slices are
    read.

    A cell takes the sigmoid of all its gates in one go and then splits them. Kept for the backward
    pass as one array and read there through several slices, it makes XLA on a CPU work number by
    number; sliced first, each is an array of its own, read in vectors. To put slices together
    instead, so that one call does for several, would bring that back.
    """
    wanted = set(variables([*(leaf.new for leaf in step.carry), *step.y]))
    readers: dict[Variable, list[Equation]] = {}
    for equation in step.equations:
        for v in variables(equation.invars):
            readers.setdefault(v, []).append(equation)

    def only_cut(equation):
        (made,) = equation.outvars
        of_it = readers.get(made, [])
        return made not in wanted and all(r.primitive.name in CUTS for r in of_it)

    # by what it makes, a function that waits until its result is cut
    waiting: dict[Variable, Equation] = {}
    found = []
    for equation in step.equations:
        if _each_number(equation) and only_cut(equation):
            waiting[equation.outvars[0]] = equation
        elif equation.primitive.name in CUTS and equation.invars[0] in waiting:
            function = waiting[equation.invars[0]]
            cut = [new_variable(v) for v in equation.outvars]
            found.append(equation.replace(invars=function.invars, outvars=cut))
            found += [
                function.replace(invars=[v], outvars=[made])
                for v, made in zip(cut, equation.outvars, strict=True)
            ]
        else:
            found.append(equation)
    return step._replace(equations=found)


def _each_number(equation: Equation) -> bool:
    """Whether it is a costly function of each number of one array by itself."""
    return (
        equation.primitive.name in COSTLY - HEAVY
        and len(equation.invars) == len(equation.outvars) == 1
        and is_variable(equation.invars[0])
        and equation.invars[0].aval.shape == equation.outvars[0].aval.shape
    )


def is_costly(equation: Equation, names: Collection[str] = COSTLY) -> bool:
    """Whether it is among these primitives, or calls what is."""
    if equation.primitive.name not in CUSTOM:
        return equation.primitive.name in names
    body = flatten(equation.params[CUSTOM[equation.primitive.name]], custom=CUSTOM)
    return any(e.primitive.name in names for e in body.equations)


def _kind(atom: Atom) -> tuple[Any, Any]:
    return atom.aval.shape, atom.aval.dtype
