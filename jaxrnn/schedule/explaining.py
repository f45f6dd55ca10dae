"""What the scheduler made of a step, in words."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Params, PyTree, Size, X
from jaxrnn.jaxprs.equations import Equation, Variable, made_by, operation_of, variables
from jaxrnn.schedule.choosing import Choice, jacobian_bytes
from jaxrnn.schedule.depending import carry_read_by, components
from jaxrnn.schedule.linear.affine import Linear, find_linear
from jaxrnn.schedule.loop.forward import decide
from jaxrnn.schedule.loop.readers import find_readers
from jaxrnn.schedule.newton.solving import MOST_ITERATIONS
from jaxrnn.schedule.reading import HEAVY, Step
from jaxrnn.schedule.stages import Apart, InTurn, Loop, Once

# How the gradient of an equation's weights comes about, by the kind of reader that it is.
_GRADIENTS = {
    "product": "deferred gradient: {}, one product over time and batch",
    "scaled": "gradient summed up in the reverse loop: {}",
    "added": "gradient the sum of cotangents: {}",
    "pulled": "deferred gradient: {}, one sum over time and batch",
}


class Explanation(NamedTuple):
    """How a cell is unrolled; `str()` is the report.

    Attributes:
      schedule: "scan", "distributed", "associative", "chunked", "newton" or "checkpointed".
      reason: why this one; the cause, if the step could not be read.
      stages: a line for each thing that is done, in order.
    """

    schedule: str
    reason: str
    stages: tuple[str, ...]

    def __str__(self) -> str:
        head = f"schedule {self.schedule}: {self.reason}"
        return "\n".join([head, *(f"  {stage}" for stage in self.stages)])


def explain_choice(choice: Choice, params: Params, carry: Carry, xs: X) -> Explanation:
    if choice.step is None or choice.plan is None:
        what = "every time step runs the whole step, one after another"
        return Explanation(choice.schedule, choice.reason, (what,))
    names = _names(choice.step, params, carry, xs)
    lines: list[str] = []
    for stage in choice.plan:
        if isinstance(stage, Loop):
            lines += _loop(stage, choice.step, names, *jax.tree.leaves(xs)[0].shape[:2])
        else:
            lines += _apart(stage, names)
    if choice.schedule == "checkpointed":
        length = jax.tree.leaves(xs)[0].shape[0]
        size = segment_length(length)
        lines.insert(0, f"in segments of {size} time steps; each runs again in the backward pass")
    return Explanation(choice.schedule, choice.reason, tuple(lines))


def segment_length(length: Size) -> int:
    """Time steps between two kept carries, about the square root of all: memory is then
    O(sqrt T).

    Raises:
      ValueError: if the number is symbolic.
    """
    if not isinstance(length, int):
        raise ValueError(
            f"xs has {length} time steps, and the schedule 'checkpointed' must know how many; give "
            "another schedule, or a number"
        )
    return max(1, round(length**0.5))


def _apart(stage: Apart, names: dict[Variable, str]) -> list[str]:
    if isinstance(stage, Once):
        return [f"once, of params alone: {_listed(stage.equations)}"]
    if isinstance(stage, InTurn):
        what = "what they make is larger than what goes in and out"
        return [f"one time step after another, since {what}: {_listed(stage.equations)}"]
    heavy = [e for e in stage.equations if e.primitive.name in HEAVY]
    if not heavy:
        return [f"all time steps at once: {_listed(stage.equations)}"]
    lines = []
    for equation in heavy:
        read = _read(equation, names)
        lines.append(f"hoisted, all time steps at once: {operation_of(equation)}{read}")
    cheap = len(stage.equations) - len(heavy)
    if cheap:
        lines[-1] += f"; {cheap} elementwise equations with them"
    return lines


def _loop(
    loop: Loop, step: Step, names: dict[Variable, str], length: Size, batch_size: Size
) -> list[str]:
    carried = ", ".join(names[v] for v in loop.carried)
    if loop.matrix is not None:
        _, decay, rank, size, *_ = loop.matrix
        what = f"decay {decay}, rank {rank}, chunks of {size} time steps"
        return [f"chunked: {carried}, {what}; kept for the backward pass: a matrix a chunk"]
    if loop.newton is not None:
        return _solved(loop, carried, length, batch_size)
    if loop.linear:
        what, units = f"{carried} = a * {carried} + b", loop.linear.units
        many = len(loop.carry) if units is None else units.shape[1]
        if many > 1:
            feeds = "feeds itself" if len(loop.carry) == 1 else "feed each other"
            what = f"{carried} {feeds} affinely, {many} x {many} numbers a unit"
        return [f"made parallel: {what}, an associative scan"]
    apart = [each for each in components(step, carry_read_by(step)) if each[0] in loop.carry]
    handed_on = "of several recurrences one reads a bulky value of another"
    handed_on = handed_on if len(apart) > 1 else None
    why = handed_on or find_linear(step, loop.carry)
    bulky = [v for v in loop.carried if v in loop.bulky]
    if isinstance(why, Linear):
        why = "linear, kept as a loop by this schedule"
        why = f"{why}: its carry is bulky" if bulky else why
    lines = [
        f"loop over {carried}: {len(loop.equations)} equations a time step; not parallel: {why}"
    ]
    if loop.no_matrix:
        lines.append(f"  not chunked: {handed_on or loop.no_matrix}")
    outside = {v for v in loop.outputs if v in loop.bulky} - {*loop.carried}
    inside = [v for v in made_by(loop.equations) if v in loop.bulky and v not in outside]
    if inside := [*bulky, *inside]:
        shapes = ", ".join(dict.fromkeys(str(list(v.aval.shape)) for v in inside))
        lines.append(f"  stays in the loop, larger than what goes in and out: {shapes}")
    readers = find_readers(loop)
    for reader in readers:
        read = _read(reader.equation, names)
        lines.append(f"  {_GRADIENTS[reader.kind].format(operation_of(reader.equation) + read)}")
    if readers:
        saving = decide(loop, readers)
        makers = {v: operation_of(e) for e in saving.forward.equations for v in e.outvars}
        kept = ", ".join(f"{makers[v]} {list(v.aval.shape)}" for v in saving.saved)
        lines.append(f"  kept for the backward pass: {kept or 'the carry alone'}")
    return lines


def _solved(loop: Loop, carried: str, length: Size, batch_size: Size) -> list[str]:
    structure = loop.newton
    assert structure is not None
    if structure.kind == "free":
        return [f"all time steps at once: {carried}, which no carry feeds"]
    size = jacobian_bytes(loop, length, batch_size)
    kept = f", {size / 2**20:.1f} MiB for all time steps" if size else ""
    return [
        f"by Newton's method: {carried}, its derivative {structure}{kept}",
        f"  not converged after {MOST_ITERATIONS} iterations: the plain loop",
    ]


def _listed(equations: Sequence[Equation]) -> str:
    names = list(dict.fromkeys(map(operation_of, equations)))
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _read(equation: Equation, names: dict[Variable, str]) -> str:
    """What an equation reads, where it has a name."""
    known = [names[v] for v in variables(equation.invars) if v in names]
    return f" with {', '.join(known)}" if known else ""


def _names(step: Step, params: Params, carry: Carry, xs: X) -> dict[Variable, str]:
    around = len(step.params) - len(step.closed_over)
    carried = _paths("carry", carry, 1)
    for cut in step.cuts:
        name, place = carried[cut.place], cut.place
        parts = [f"{name} part {i + 1} of {len(cut.spans)}" for i in range(len(cut.spans))]
        carried[place : place + 1] = parts if len(parts) > 1 else [f"{name} as {list(*cut.shapes)}"]
    names = dict(zip(step.params[:around], _paths("params", params, 0), strict=True))
    names |= zip((leaf.old for leaf in step.carry), carried, strict=True)
    names |= zip(step.x, _paths("x", xs, 2), strict=True)
    for v in step.params[around:]:
        names[v] = f"a closed-over {v.aval.dtype} {list(v.aval.shape)}"
    return names


def _paths(word: str, tree: PyTree, leading: int) -> list[str]:
    """A name of each leaf, with its shape behind so many leading axes."""
    found = []
    for path, leaf in jax.tree.leaves_with_path(tree):
        shape = list(jnp.shape(leaf)[leading:])
        found.append(f"{word}{jax.tree_util.keystr(path)}" + (f" {shape}" if shape else ""))
    return found
