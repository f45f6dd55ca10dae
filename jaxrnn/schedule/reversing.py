"""The reverse of one time step of a loop: what goes from step to step, and what can wait.

Reverse-mode differentiation of the loop's equations, one after another from the last, with two
differences from what `jax.vjp` does: an equation that reads a weight gives its cotangent out
instead of its weight's gradient; and what the forward pass computed at a cost is read, not computed
again.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.schedule.cotangents import Cotangents, part_of
from jaxrnn.schedule.devices import struct, struct_of, zeros
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.products import precision_of
from jaxrnn.schedule.readers import Reader
from jaxrnn.schedule.reading import (
    COSTLY,
    as_function,
    flatten,
    is_float,
    is_variable,
    needed,
    renamed,
    variables,
)
from jaxrnn.unstable import RULES_END_IN_SCANS, opened

# Equations whose results are parts of what they read.
VIEWS = ("slice", "split", "squeeze", "reshape", "transpose")


class Pulled(NamedTuple):
    """An equation on the way of a derivative.

    Attributes:
      equation: of the loop.
      inside: its varying inputs, variables of the loop.
      outputs: its float outputs, variables of the loop.
      tree, residuals: its pullback to `inside`, followed by the weights whose gradients the time
        step sums up: the tree of the function and atoms of the forward pass.
    """

    equation: Any
    inside: list[Any]
    outputs: list[Any]
    tree: Any
    residuals: list[Any]


class Forward(NamedTuple):
    """The loop's equations as the forward pass runs them where derivatives are taken: what has a
    derivative of its own computes what its rule does, so that the derivative of that is what the
    plain loop's is.

    Attributes:
      equations: of one time step, and what the pullbacks read.
      targets, emitted: atoms, as those of the loop.
      rows: for every reader of the loop, its rows' names here.
      tape: for the way back, in the order of the equations.
      constants: variable to value.
    """

    equations: list[Any]
    targets: list[Any]
    emitted: list[Any]
    rows: list[list[Any]]
    tape: list[Pulled]
    constants: dict[Any, Any]


class Reverse(NamedTuple):
    """One time step, backwards.

    Attributes:
      equations: of one example.
      transposed: variables [O, I], the transposed weights of the product readers, in their order.
      saved: variables of the forward pass that it reads.
      d_targets, d_emitted: cotangents that go in, variables; of float leaves only.
      d_carry, d_streams: cotangents that come out, atoms; of float leaves only, None where zero.
      deltas: for every reader, the cotangents of its outputs; None where there is none, and of
        those whose weights' gradients are summed up.
      d_weights: for every reader, what the time step adds to the gradient of its weights; empty
        where that waits.
    """

    equations: list[Any]
    transposed: list[Any]
    saved: list[Any]
    d_targets: list[Any]
    d_emitted: list[Any]
    d_carry: list[Any]
    d_streams: list[Any]
    deltas: list[list[Any]]
    d_weights: list[list[Any]]


def forward_of(loop: Loop, readers: list[Reader]) -> Forward:
    every = [*loop.weights, *loop.carried, *loop.streams]
    rows = [v for reader in readers for v in reader.rows]
    summed = {id(r.equation): r.weights for r in readers if r.kind in ("added", "scaled")}
    tape: list[Any] = []

    def forward(inputs):
        values = dict(zip(every, inputs, strict=True))
        tape.extend(_record(loop, values, summed))
        outputs = [
            values[v] if is_variable(v) else jnp.asarray(v.val, v.aval.dtype)
            for v in [*loop.targets, *loop.emitted, *rows]
        ]
        return outputs, [pulled.residuals for pulled in tape]

    closed = jax.make_jaxpr(forward)([struct_of(v) for v in every])
    equations, results, constants = flatten(closed, custom=RULES_END_IN_SCANS)
    equations, results = renamed(
        equations, results, dict(zip(opened(closed)[0].invars, every, strict=True))
    )
    rest = iter(results)

    def following(atoms):
        return [next(rest) for _ in atoms]

    return Forward(
        equations,
        following(loop.targets),
        following(loop.emitted),
        [following(reader.rows) for reader in readers],
        [pulled._replace(residuals=following(pulled.residuals)) for pulled in tape],
        constants,
    )


def reverse_of(
    loop: Loop,
    readers: list[Reader],
    forward: Forward,
    d_emitted: list[int],
    kept: Collection[Any] | None = None,
) -> Reverse:
    """The reverse of a loop's time step.

    Args:
      loop, readers, forward: as `find_readers` and `forward_of` made them.
      d_emitted: which of the emitted variables have a cotangent.
      kept: what the forward pass has saved; None leaves the choice to this function.
    """
    found = _trace(loop, readers, forward, d_emitted)
    equations = found.equations
    forward.constants.update(found.constants)
    d_carry, d_streams, deltas, d_weights = found.unflatten(found.results)
    _leave_one(readers, d_streams, deltas, d_weights)
    results = [*d_carry, *d_streams, *(d for atoms in (*deltas, *d_weights) for d in atoms)]
    results = [d for d in results if d is not None]
    # rows that the loop itself makes have to be there afterwards
    made = {v for e in forward.equations for v in e.outvars}
    rows = [v for names in forward.rows for v in names if v in made]
    inputs = {*loop.weights, *loop.carried, *loop.streams, *forward.constants}
    inputs |= {*found.transposed, *found.d_targets, *found.d_emitted}

    def choose(savable):
        chosen = needed([*forward.equations, *equations], [*results, *rows], inputs | savable)
        read = variables([*(v for e in chosen for v in e.invars), *results, *rows])
        return chosen, [v for v in read if v in savable]

    if kept is None:
        outputs = [*forward.targets, *forward.emitted, *rows]
        costly, views = _savable(needed(forward.equations, outputs, ()))
        _, saved = choose(costly | views.keys())
        # a part is not saved beside the whole
        kept = costly | {v for v, whole in views.items() if whole not in saved}
    chosen, saved = choose(set(kept))
    return Reverse(
        chosen,
        found.transposed,
        saved,
        found.d_targets,
        found.d_emitted,
        d_carry,
        d_streams,
        deltas,
        d_weights,
    )


def _leave_one(readers, d_streams, deltas, d_weights):
    """Takes away either the cotangents of a reader or what the step adds to its gradient: of a bias
    the latter where something else gives the cotangents out anyway."""
    anyway = [atoms for atoms, added in zip(deltas, d_weights, strict=True) if not added]
    given_out = variables([*d_streams, *(d for atoms in anyway for d in atoms)])
    for reader, atoms, added in zip(readers, deltas, d_weights, strict=True):
        if reader.kind == "added" and all(d is None or d in given_out for d in atoms):
            added.clear()
        elif added:
            atoms[:] = [None] * len(atoms)


class _Traced(NamedTuple):
    """The reverse step as it was traced: of residuals of the forward pass and of cotangents.

    Attributes:
      equations, results, constants: of the trace; what the forward pass has is called as there.
      transposed, d_targets, d_emitted: the other variables that go in.
      unflatten: from results to (d_carry, d_streams, deltas, d_weights), None where zero.
    """

    equations: list[Any]
    results: list[Any]
    constants: dict[Any, Any]
    transposed: list[Any]
    d_targets: list[Any]
    d_emitted: list[Any]
    unflatten: Callable[[list[Any]], Any]


def _trace(loop: Loop, readers: list[Reader], forward: Forward, d_emitted: list[int]) -> _Traced:
    moving = [i for i, v in enumerate(loop.carried) if is_float(v.aval)]
    moving_streams = [v for v in loop.streams if is_float(v.aval)]
    targets = [loop.targets[i] for i in moving]
    emitted = [loop.emitted[i] for i in d_emitted]
    products = [reader.equation for reader in readers if reader.kind == "product"]
    summed = {id(r.equation) for r in readers if r.kind in ("added", "scaled")}
    # what is the same for every call is no input: a constant of the trace stays one
    known = variables(a for pulled in forward.tape for a in pulled.residuals)
    structure: list[Any] = []

    def reverse(residuals, transposed, d_targets, d_given):
        value_of = dict(zip(known, residuals, strict=True))
        turned = {id(e): w for e, w in zip(products, transposed, strict=True)}
        cotangents = Cotangents()
        for atom, d in zip([*targets, *emitted], [*d_targets, *d_given], strict=True):
            cotangents.add(atom, d)
        at_reader = {id(r.equation): [None] * len(r.equation.outvars) for r in readers}
        added = {id(r.equation): [] for r in readers}
        for equation, inside, outputs, tree, atoms in reversed(forward.tape):
            if not any(v in cotangents for v in outputs):
                continue
            given = [cotangents[v] if v in cotangents else zeros(v.aval) for v in outputs]
            part = part_of(equation)
            if part is not None and inside:
                cotangents.add_part(inside[0], part, given[0])
                continue
            if id(equation) in at_reader:
                for v, d in zip(outputs, given, strict=True):
                    at_reader[id(equation)][equation.outvars.index(v)] = d
            if id(equation) in turned:
                w, precision = turned[id(equation)], precision_of(equation)
                pulled = [jnp.matmul(d, w, precision=precision) for d in given][: len(inside)]
            else:
                leaves = [value_of[a] if is_variable(a) else a.val for a in atoms]
                pulled = jax.tree.unflatten(tree, leaves)(given)[0]
            if id(equation) in summed:
                added[id(equation)] = pulled[len(inside) :]
                pulled = pulled[: len(inside)]
            for v, d in zip(inside, pulled, strict=True):
                cotangents.add(v, d)
        out = (
            cotangents.of([loop.carried[i] for i in moving]),
            cotangents.of(moving_streams),
            [at_reader[id(r.equation)] for r in readers],
            [added[id(r.equation)] for r in readers],
        )
        leaves, tree = jax.tree.flatten(out, is_leaf=lambda a: a is None)
        structure.extend([tree, [leaf is not None for leaf in leaves]])
        return [leaf for leaf in leaves if leaf is not None]

    closed = jax.make_jaxpr(reverse)(
        [struct_of(v) for v in known],
        [_transposed(e.invars[1]) for e in products],
        [struct_of(v) for v in targets],
        [struct_of(v) for v in emitted],
    )
    equations, results, constants = flatten(closed, custom=RULES_END_IN_SCANS)
    tree, present = structure
    names = iter(opened(closed)[0].invars)
    equations, results = renamed(equations, results, {next(names): v for v in known})

    def unflatten(results):
        rest = iter(results)
        return jax.tree.unflatten(tree, [next(rest) if there else None for there in present])

    return _Traced(
        equations,
        results,
        constants,
        transposed=[next(names) for _ in products],
        d_targets=[next(names) for _ in targets],
        d_emitted=[next(names) for _ in emitted],
        unflatten=unflatten,
    )


def _record(loop: Loop, values: dict[Any, Any], summed: dict[int, list[Any]]) -> list[Pulled]:
    """Runs the loop's equations and adds what they make to `values`.

    Returns:
      For each equation on the way of a derivative its pullback to its varying inputs, followed by
      the weights that `summed` has by the equation's id; the residuals are values.
    """
    moving = {v for v in [*loop.carried, *loop.streams] if is_float(v.aval)}
    tape = []
    for equation in loop.equations:
        inputs = variables(equation.invars)
        inside = [v for v in inputs if v in moving and is_float(v.aval)]
        if equation.primitive.name == "stop_gradient":
            inside = []  # a loop behind it may have no reverse derivative and need none
        outputs = [v for v in equation.outvars if is_float(v.aval)]
        apply = as_function([equation], inputs, equation.outvars)
        reads_weight = any(v in loop.learnt for v in inputs)
        if not outputs or not (inside or reads_weight):
            out = apply(*(values[v] for v in inputs))
        else:
            moving.update(outputs)
            pulled = [*inside, *summed.get(id(equation), ())]

            def function(numbers, pulled=pulled, inputs=inputs, apply=apply, made=equation.outvars):
                every = values | dict(zip(pulled, numbers, strict=True))
                out = apply(*(every[v] for v in inputs))
                return [o for o, v in zip(out, made, strict=True) if is_float(v.aval)], out

            _, pull, out = jax.vjp(function, [values[v] for v in pulled], has_aux=True)
            residuals, tree = jax.tree.flatten(pull)
            tape.append(Pulled(equation, inside, outputs, tree, residuals))
        values.update(zip(equation.outvars, out, strict=True))
    return tape


def _savable(equations: list[Any]) -> tuple[set[Any], dict[Any, Any]]:
    """What the forward pass computed at a cost, and parts of it with the whole they are from."""
    costly, views = set(), {}
    for equation in equations:
        inputs = variables(equation.invars)
        if equation.primitive.name in COSTLY:
            costly.update(equation.outvars)
        elif equation.primitive.name in VIEWS and len(inputs) == 1:
            whole = views.get(inputs[0], inputs[0])
            if whole in costly:
                views.update(dict.fromkeys(equation.outvars, whole))
    return costly, views


def _transposed(atom: Any) -> Any:
    return struct(atom.aval.shape[::-1], atom.aval)
