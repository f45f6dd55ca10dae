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
from jaxrnn.schedule.devices import struct, struct_of
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.products import precision_of
from jaxrnn.schedule.readers import Reader
from jaxrnn.schedule.reading import (
    COSTLY,
    as_function,
    expand_custom,
    flatten,
    is_float,
    is_variable,
    needed,
    variables,
)

# Equations whose results are parts of what they read.
VIEWS = ("slice", "split", "squeeze", "reshape", "transpose")


class Forward(NamedTuple):
    """The loop's equations as the forward pass runs them.

    Attributes:
      equations: custom derivatives replaced by what they compute.
      targets, emitted: atoms, as those of the loop.
      rows: for every reader of the loop, its rows' names here.
      constants: variable to value.
    """

    equations: list[Any]
    targets: list[Any]
    emitted: list[Any]
    rows: list[list[Any]]
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
    rows = [v for reader in readers for v in reader.rows]
    equations, outputs, constants = expand_custom(
        loop.equations, [*loop.targets, *loop.emitted, *rows]
    )
    rest = iter(outputs)
    targets = [next(rest) for _ in loop.targets]
    emitted = [next(rest) for _ in loop.emitted]
    renamed = [[next(rest) for _ in reader.rows] for reader in readers]
    return Forward(equations, targets, emitted, renamed, constants)


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
    found = _trace(loop, readers, d_emitted)
    equations, results = _read_from_forward(
        found.equations, found.results, dict(found.names), forward.equations
    )
    forward.constants.update(found.constants)
    d_carry, d_streams, deltas, d_weights = found.unflatten(results)
    _leave_one(readers, d_streams, deltas, d_weights)
    results = [*d_carry, *d_streams, *(d for atoms in (*deltas, *d_weights) for d in atoms)]
    results = [d for d in results if d is not None]
    # rows that the loop itself makes have to be there afterwards
    made = {v for e in forward.equations for v in e.outvars}
    rows = [v for names in forward.rows for v in names if v in made]
    inputs = {*found.names.values(), *found.transposed, *found.d_targets, *found.d_emitted}
    inputs |= set(forward.constants)

    def choose(savable):
        chosen = needed([*forward.equations, *equations], [*results, *rows], inputs | savable)
        read = variables([*(v for e in chosen for v in e.invars), *results, *rows])
        return chosen, [v for v in read if v in savable]

    if kept is None:
        costly, views = _savable(forward.equations)
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
    """The reverse step as it was traced, which computes everything anew.

    Attributes:
      equations, results, constants: of the trace.
      names: from variables of the trace to those of the loop, for what goes into a time step.
      transposed, d_targets, d_emitted: the other variables that go in.
      unflatten: from results to (d_carry, d_streams, deltas, d_weights), None where zero.
    """

    equations: list[Any]
    results: list[Any]
    constants: dict[Any, Any]
    names: dict[Any, Any]
    transposed: list[Any]
    d_targets: list[Any]
    d_emitted: list[Any]
    unflatten: Callable[[list[Any]], Any]


def _trace(loop: Loop, readers: list[Reader], d_emitted: list[int]) -> _Traced:
    moving = [i for i, v in enumerate(loop.carried) if is_float(v.aval)]
    moving_streams = [v for v in loop.streams if is_float(v.aval)]
    every = [*loop.weights, *loop.carried, *loop.streams]
    targets = [loop.targets[i] for i in moving]
    emitted = [loop.emitted[i] for i in d_emitted]
    products = [reader.equation for reader in readers if reader.kind == "product"]
    summed = {id(r.equation): r.weights for r in readers if r.kind in ("added", "scaled")}
    structure: list[Any] = []

    def reverse(inputs, transposed, d_targets, d_given):
        values = dict(zip(every, inputs, strict=True))
        turned = {id(e): w for e, w in zip(products, transposed, strict=True)}
        sources = {*(loop.carried[i] for i in moving), *moving_streams}
        tape = _record(loop, values, sources, summed)
        cotangents = Cotangents()
        for atom, d in zip([*targets, *emitted], [*d_targets, *d_given], strict=True):
            cotangents.add(atom, d)
        at_reader = {id(r.equation): [None] * len(r.equation.outvars) for r in readers}
        added = {id(r.equation): [] for r in readers}
        for equation, inside, outputs, pull in reversed(tape):
            if not any(v in cotangents for v in outputs):
                continue
            given = [
                cotangents[v] if v in cotangents else jnp.zeros_like(values[v]) for v in outputs
            ]
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
                pulled = pull(given)[0]
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
        [struct_of(v) for v in every],
        [_transposed(e.invars[1]) for e in products],
        [struct_of(v) for v in targets],
        [struct_of(v) for v in emitted],
    )
    equations, results, constants = flatten(closed)
    tree, present = structure
    names = iter(closed.jaxpr.invars)

    def unflatten(results):
        rest = iter(results)
        return jax.tree.unflatten(tree, [next(rest) if there else None for there in present])

    return _Traced(
        equations,
        results,
        constants,
        names={next(names): v for v in every},
        transposed=[next(names) for _ in products],
        d_targets=[next(names) for _ in targets],
        d_emitted=[next(names) for _ in emitted],
        unflatten=unflatten,
    )


def _record(
    loop: Loop, values: dict[Any, Any], sources: set[Any], summed: dict[int, list[Any]]
) -> list[Any]:
    """Runs the loop's equations and adds what they make to `values`.

    Returns:
      For each equation on the way of a derivative: itself, its varying inputs, its float outputs,
      and its pullback to these inputs, followed by the weights that `summed` has by the equation's
      id.
    """
    tape, moving = [], set(sources)
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
            tape.append((equation, inside, outputs, pull))
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


def _read_from_forward(equations, results, names, forward):
    """Leaves out what the forward pass has computed already: equations that are the same, reading
    the same, are the same value."""
    known = {}
    for equation in forward:
        known.setdefault(_identity(equation, {}), equation.outvars)
    kept = []
    for equation in equations:
        same = known.get(_identity(equation, names))
        if same is not None:
            names.update(zip(equation.outvars, same, strict=True))
        else:
            inputs = [names.get(v, v) if is_variable(v) else v for v in equation.invars]
            kept.append(equation.replace(invars=inputs))
    return kept, [names.get(v, v) if is_variable(v) else v for v in results]


def _identity(equation: Any, names: dict[Any, Any]) -> Any:
    """Equal for equations that compute the same."""

    def of(atom):
        if is_variable(atom):
            return names.get(atom, atom)
        return str(atom.aval), str(atom.val)

    try:
        params = frozenset(equation.params.items())
        hash(params)
    except TypeError:
        params = id(equation)
    return equation.primitive, params, tuple(of(v) for v in equation.invars)


def _transposed(atom: Any) -> Any:
    return struct(atom.aval.shape[::-1], atom.aval)
