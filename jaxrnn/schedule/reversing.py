"""The reverse of one time step of a loop: what goes from step to step, and what can wait.

Reverse-mode differentiation of the loop's equations, one after another from the last, with two
differences from what `jax.vjp` does: an equation that reads a weight gives its cotangent out
instead of its weight's gradient; and what the forward pass computed at a cost is read, not computed
again.
"""

from typing import Any, NamedTuple

import jax

from jaxrnn.schedule.devices import struct
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.reading import (
    COSTLY,
    as_function,
    expand_custom,
    flatten,
    is_float,
    is_product,
    is_variable,
    needed,
    variables,
)

# Equations whose results are parts of what they read.
VIEWS = ("slice", "split", "squeeze", "reshape", "transpose")


class Reader(NamedTuple):
    """An equation that reads a weight, with what its weight's gradient needs.

    Attributes:
      equation: of the loop.
      weights: float variables that are the same at every time step.
      rows: variables of the time step without which the gradient cannot be formed.
      product: whether it is `x @ w` with x [I] and w [I, O].
    """

    equation: Any
    weights: list[Any]
    rows: list[Any]
    product: bool


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
      deltas: for every reader, the cotangents of its outputs; None where there is none.
    """

    equations: list[Any]
    transposed: list[Any]
    saved: list[Any]
    d_targets: list[Any]
    d_emitted: list[Any]
    d_carry: list[Any]
    d_streams: list[Any]
    deltas: list[list[Any]]


def find_readers(loop: Loop) -> list[Reader]:
    fixed = set(loop.weights)
    readers = []
    for equation in loop.equations:
        weights = [v for v in variables(equation.invars) if v in fixed and is_float(v.aval)]
        if weights and any(is_float(v.aval) for v in equation.outvars):
            product = is_product(equation, fixed)
            rows = [equation.invars[0]] if product else _rows_needed(equation, weights, fixed)
            readers.append(Reader(equation, weights, rows, product))
    return readers


def _rows_needed(equation: Any, weights: list[Any], fixed: set[Any]) -> list[Any]:
    """Which of the varying inputs the gradient of its weights reads."""
    inputs = variables(equation.invars)
    outputs = [v for v in equation.outvars if is_float(v.aval)]
    apply = as_function([equation], inputs, outputs)

    def gradient(values, cotangents):
        by_place = {v: values[i] for i, v in enumerate(inputs)}

        def function(ws):
            every = by_place | dict(zip(weights, ws, strict=True))
            return apply(*(every[v] for v in inputs))

        _, pull = jax.vjp(function, [by_place[v] for v in weights])
        return pull(cotangents)

    closed = jax.make_jaxpr(gradient)([_shape(v) for v in inputs], [_shape(v) for v in outputs])
    equations, results, _ = flatten(closed)
    read = variables([*results, *(v for e in needed(equations, results, ()) for v in e.invars)])
    names = dict(zip(closed.jaxpr.invars, inputs, strict=False))
    return [names[v] for v in read if v in names and names[v] not in fixed]


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
    loop: Loop, readers: list[Reader], forward: Forward, d_emitted: list[int]
) -> Reverse:
    """`d_emitted`: which of the emitted variables have a cotangent."""
    products = [reader for reader in readers if reader.product]
    reader_of = {id(reader.equation): k for k, reader in enumerate(readers)}
    moving = [i for i, v in enumerate(loop.carried) if is_float(v.aval)]
    moving_streams = [v for v in loop.streams if is_float(v.aval)]
    fixed = set(loop.weights)
    shape_of: dict[str, Any] = {}

    def reverse(inputs, transposed, d_targets, d_given):
        values = dict(zip([*loop.weights, *loop.carried, *loop.streams], inputs, strict=True))
        pulls = []
        depends = {*(loop.carried[i] for i in moving), *moving_streams}
        for equation in loop.equations:
            sources = [
                v
                for v in variables(equation.invars)
                if is_float(v.aval) and v not in fixed and v in depends
            ]
            inner = variables(equation.invars)
            apply = as_function([equation], inner, equation.outvars)
            outputs = [v for v in equation.outvars if is_float(v.aval)]
            if (sources or id(equation) in reader_of) and outputs:
                depends.update(outputs)

                def function(of_sources, sources=sources, inner=inner, apply=apply, e=equation):
                    every = values | dict(zip(sources, of_sources, strict=True))
                    out = apply(*(every[v] for v in inner))
                    floats = [o for o, v in zip(out, e.outvars, strict=True) if is_float(v.aval)]
                    return floats, out

                _, pull, out = jax.vjp(function, [values[v] for v in sources], has_aux=True)
                pulls.append((equation, sources, outputs, pull))
            else:
                out = apply(*(values[v] for v in inner))
            values.update(zip(equation.outvars, out, strict=True))

        cotangents: dict[Any, Any] = {}

        def add(atom, cotangent):
            if is_variable(atom):
                old = cotangents.get(atom)
                cotangents[atom] = cotangent if old is None else old + cotangent

        for i, d in zip(moving, d_targets, strict=True):
            add(loop.targets[i], d)
        for i, d in zip(d_emitted, d_given, strict=True):
            add(loop.emitted[i], d)
        deltas: list[list[Any]] = [[None] * len(r.equation.outvars) for r in readers]
        for equation, sources, outputs, pull in reversed(pulls):
            if not any(v in cotangents for v in outputs):
                continue
            given = [
                cotangents[v] if v in cotangents else jax.numpy.zeros_like(values[v])
                for v in outputs
            ]
            k = reader_of.get(id(equation))
            if k is not None:
                places = [equation.outvars.index(v) for v in outputs]
                for place, d in zip(places, given, strict=True):
                    deltas[k][place] = d
                if readers[k].product:
                    add(
                        sources[0], given[0] @ transposed[products.index(readers[k])]
                    ) if sources else None
                    continue
            for v, d in zip(sources, pull(given)[0], strict=True):
                add(v, d)
        out = (
            [cotangents.get(loop.carried[i]) for i in moving],
            [cotangents.get(v) for v in moving_streams],
            deltas,
        )
        leaves, shape_of["out"] = jax.tree.flatten(out, is_leaf=lambda a: a is None)
        shape_of["present"] = [leaf is not None for leaf in leaves]
        return [leaf for leaf in leaves if leaf is not None]

    given = [loop.emitted[i] for i in d_emitted]
    d_in = [_shape(loop.targets[i]) for i in moving], [_shape(v) for v in given]
    w_t = [_transposed(reader.equation.invars[1]) for reader in products]
    every = [*loop.weights, *loop.carried, *loop.streams]
    closed = jax.make_jaxpr(reverse)([_shape(v) for v in every], w_t, *d_in)
    equations, results, constants = flatten(closed)
    names = iter(closed.jaxpr.invars)
    renamed = {next(names): v for v in every}
    transposed = [next(names) for _ in products]
    d_targets = [next(names) for _ in moving]
    d_given = [next(names) for _ in given]
    equations, results = _read_from_forward(equations, results, renamed, forward.equations)
    forward.constants.update(constants)

    # rows that the loop itself makes have to be there afterwards
    made = {v for e in forward.equations for v in e.outvars}
    rows = [v for names in forward.rows for v in names if v in made]
    inputs = {*every, *transposed, *d_targets, *d_given, *forward.constants}
    costly, views = _savable(forward.equations)
    everything = [*forward.equations, *equations]

    def plan(savable):
        chosen = needed(everything, [*results, *rows], inputs | savable)
        read = variables([*(v for e in chosen for v in e.invars), *results, *rows])
        return chosen, [v for v in read if v in savable]

    _, saved = plan(costly | views.keys())
    # a part is not saved beside the whole
    chosen, saved = plan(costly | {v for v, whole in views.items() if whole not in saved})
    rest = iter(results)
    filled = [next(rest) if there else None for there in shape_of["present"]]
    d_carry, d_streams, deltas = jax.tree.unflatten(shape_of["out"], filled)
    return Reverse(chosen, transposed, saved, d_targets, d_given, d_carry, d_streams, deltas)


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


def _shape(atom: Any) -> Any:
    return struct(atom.aval.shape, atom.aval)


def _transposed(atom: Any) -> Any:
    return struct(atom.aval.shape[::-1], atom.aval)
