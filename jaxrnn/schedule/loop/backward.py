"""The backward pass of a loop, and its weights' gradients.

In the reverse scan only the cotangent of the carry is sequential. It gives out the cotangents of
the equations that read a weight, and each weight's gradient is one product over time and batch
afterwards. Only that of a weight that scales elementwise is summed up in the scan. What is given
out and only puts together what there is of all time steps is worked out behind the scan, too: each
small operation in it is started anew at every time step.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.base import Size
from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Variable,
    as_function,
    is_float,
    is_variable,
    made_by,
    needed,
    read_by,
    variables,
)
from jaxrnn.jaxprs.reach import ELEMENTWISE
from jaxrnn.schedule import stepping
from jaxrnn.schedule.devices import vary_like, zeros
from jaxrnn.schedule.loop.readers import Reader
from jaxrnn.schedule.loop.reversing import Reverse, floats_of
from jaxrnn.schedule.products import as_rows, precision_of, transposed_product
from jaxrnn.schedule.reading import COSTLY
from jaxrnn.schedule.scanning import scan
from jaxrnn.schedule.stages import Loop

Values = dict[Variable, Any]

# What may wait until the scan is over: it reads nothing twice and makes nothing larger.
PATIENT = (ELEMENTWISE | {"concatenate"}) - COSTLY


class _Reversed(NamedTuple):
    """What the reverse scan gives.

    Attributes:
      d_first: the cotangents of the first carry's float leaves.
      over_time: variables that it gives out, [T, B, ...].
      summed: pairs of a weight and its gradient, where that was summed up.
    """

    d_first: list[Any]
    over_time: Values
    summed: list[tuple[Variable, Any]]


def go_back(loop: Loop, reverse: Reverse, length: Size, args, new, saved: Values, cotangents):
    """The cotangents of (weights, carry, streams), from those of what the loop gave; None where
    zero. `new` are the carry's leaves [T, B, ...], `saved` what the forward pass has kept."""
    weights, first, streams = args
    weight_of = dict(zip(loop.weights, weights, strict=True))
    before = [jnp.concatenate([c[None], n[:-1]]) for c, n in zip(first, new, strict=True)]
    over_time = dict(zip([*loop.carried, *loop.streams], [*before, *streams], strict=True)) | saved
    found = _reverse_scan(loop, reverse, length, weight_of, over_time, first, cotangents)
    over_time |= found.over_time

    d_carry = dict(zip(floats_of(loop.carried), found.d_first, strict=True))
    d_streams = {
        v: _value(over_time, atom, over_time[v])
        for v, atom in zip(floats_of(loop.streams), reverse.d_streams, strict=True)
        if atom is not None
    }

    def gradients():
        for each in reverse.readers:
            if any(atom is not None for atom in each.deltas):
                deltas = [_over_time(over_time, atom, first[0], length) for atom in each.deltas]
                rows = [over_time[v] for v in each.rows]
                large = not loop.bulky.isdisjoint(each.reader.equation.outvars)
                yield from _weight_gradients(each.reader, weight_of, rows, deltas, large)
        yield from found.summed

    d_weights: Values = {}
    for v, d in gradients():
        d_weights[v] = d if v not in d_weights else d_weights[v] + d
    return (
        [d_weights.get(v) for v in loop.weights],
        [d_carry.get(v) for v in loop.carried],
        [d_streams.get(v) for v in loop.streams],
    )


def _reverse_scan(
    loop: Loop,
    reverse: Reverse,
    length: Size,
    weight_of: Values,
    over_time: Values,
    first: list[Any],
    cotangents: Any,
) -> _Reversed:
    """The sequential part of the backward pass."""
    d_last, d_new, d_emitted = cotangents
    moving = [i for i, v in enumerate(loop.carried) if is_float(v.aval)]
    # cotangents that are zero do not travel
    new_at = [k for k, i in enumerate(moving) if d_new[i] is not None]
    given = [d for v, d in zip(loop.emitted, d_emitted, strict=True) if is_float(v.aval)]
    products = [each.reader.equation for each in reverse.readers if each.reader.kind == "product"]
    # without the barrier XLA transposes again at every time step
    transposed = [lax.optimization_barrier(weight_of[e.invars[1]].T) for e in products]
    fixed = weight_of | dict(zip(reverse.transposed, transposed, strict=True)) | reverse.constants

    rows = [v for each in reverse.readers for v in each.rows if v not in over_time]
    deltas = [d for each in reverse.readers for d in each.deltas]
    given_out = variables(d for d in [*reverse.d_streams, *deltas, *rows] if d is not None)
    summed = [
        pair
        for each in reverse.readers
        if each.added
        for pair in zip(each.reader.weights, each.added, strict=True)
    ]
    d_carry = [d for d in reverse.d_carry if d is not None]
    inside = [*d_carry, *(d for _, d in summed)]
    later = _can_wait(reverse.equations, inside, given_out, over_time)
    made = set(made_by(later))
    waiting = [v for v in given_out if v in made]
    given_out = [v for v in given_out if v not in made]
    wanted = variables([*inside, *given_out])
    equations = needed(reverse.equations, wanted, ())
    read = read_by(equations, wanted)
    held = {v: fixed[v] for v in read if v in fixed}
    streamed = [v for v in read if v in over_time]
    batch_size = first[0].shape[0]
    # of a transposed weight the transpose is the weight
    back = {v: weight_of[e.invars[1]] for v, e in zip(reverse.transposed, products, strict=True)}
    ways = stepping.products_of(equations, held, batch_size, back)
    moves = [*reverse.d_targets, *reverse.d_emitted, *streamed]
    step = stepping.over_batch(equations, held, moves, wanted, ways)

    def body(state, xs):
        (d_carry, sums), (d_new_t, d_emitted_t, values) = state, xs
        d_targets = list(d_carry)
        for k, d in zip(new_at, d_new_t, strict=True):
            d_targets[k] = d_targets[k] + d
        found = step([*d_targets, *d_emitted_t, *values])
        found = dict(zip(wanted, found, strict=True))
        d_carry = [
            jnp.zeros_like(old) if atom is None else _value(found, atom, old)
            for atom, old in zip(reverse.d_carry, d_carry, strict=True)
        ]
        sums = [
            total + _value(found, atom, total).astype(total.dtype)
            for (_, atom), total in zip(summed, sums, strict=True)
        ]
        return (d_carry, sums), [found[v] for v in given_out]

    start = [
        vary_like(jnp.zeros_like(first[i]) if d_last[i] is None else d_last[i], first[i])
        for i in moving
    ]
    nothing = [vary_like(_sums_of(v.aval, batch_size), first[0]) for v, _ in summed]
    xs = (
        [d_new[moving[k]] for k in new_at],
        [d for d in given if d is not None],
        [over_time[v] for v in streamed],
    )
    (d_first, sums), out = scan(body, (start, nothing), xs, length, reverse=True)
    d_weights = [
        (v, total.sum(0).astype(v.aval.dtype)) for (v, _), total in zip(summed, sums, strict=True)
    ]
    found = dict(zip(given_out, out, strict=True))
    if waiting:
        known = over_time | found
        moving = [v for v in read_by(later) if v in known]
        wait = stepping.over_time(later, fixed, moving, waiting)
        found |= dict(zip(waiting, wait([known[v] for v in moving]), strict=True))
    return _Reversed(d_first, found, d_weights)


def _can_wait(
    equations: Sequence[Equation],
    inside: list[Atom],
    given_out: list[Variable],
    over_time: Collection[Variable],
) -> list[Equation]:
    """The equations that no time step needs for `inside`, and that read only what there is of all
    time steps anyway."""
    staying = needed(equations, inside, ())
    there = {v for v in read_by(staying) if v in over_time}
    there |= set(given_out).intersection(made_by(staying))
    ids = {id(e) for e in staying}
    found = []
    for equation in equations:
        read = variables(equation.invars)
        if id(equation) in ids:
            continue
        if equation.primitive.name in PATIENT and read and there.issuperset(read):
            found.append(equation)
            there.update(equation.outvars)
        else:
            there.update(v for v in equation.outvars if v in given_out)
    return needed(found, given_out, ())


def _weight_gradients(
    reader: Reader,
    weight_of: Values,
    rows: list[Any],
    deltas: list[Any],
    one_by_one: bool,
) -> Iterator[tuple[Variable, Any]]:
    """Pairs of a weight and its gradient; values of the reader's rows and deltas [T, B, ...].

    `one_by_one` sums what is not a product over one time step after another: XLA copies what it
    scatters into a table, which large deltas show.
    """
    given = [d for d in deltas if d is not None]
    if reader.kind == "product":
        (x,), (d,) = rows, given
        precision = precision_of(reader.equation)
        yield reader.weights[0], transposed_product(as_rows(x), as_rows(d), precision)
        return
    equation = reader.equation
    inputs = variables(equation.invars)
    outputs = [v for v, d in zip(equation.outvars, deltas, strict=True) if d is not None]
    apply = as_function([equation], inputs, outputs)
    mine = reader.weights
    if reader.kind == "added":
        given = [d.sum((0, 1), keepdims=True) for d in given]
    length, batch_size = given[0].shape[:2]
    weights = [weight_of[v] for v in mine]
    given = [d.astype(v.aval.dtype) for d, v in zip(given, outputs, strict=True)]

    def over_examples(ws, moving):
        every = weight_of | dict(zip(mine, ws, strict=True))

        def one(each):
            known = every | dict(zip(reader.rows, each, strict=True))
            return apply(*(known[v] if v in known else zeros(v.aval) for v in inputs))

        return jax.vmap(one, axis_size=batch_size)(moving)

    if one_by_one:

        def add(totals, now):
            moving, deltas = now
            (found,) = jax.vjp(lambda ws: over_examples(ws, moving), weights)[1](deltas)
            return [total + d for total, d in zip(totals, found, strict=True)], None

        totals = [vary_like(_wide_zeros(w.shape, w.dtype), given[0]) for w in weights]
        totals, _ = scan(add, totals, (rows, given), length)
        yield from ((v, a.astype(v.aval.dtype)) for v, a in zip(mine, totals, strict=True))
        return

    def over_time(ws):
        return jax.vmap(lambda moving: over_examples(ws, moving), axis_size=length)(rows)

    yield from zip(mine, jax.vjp(over_time, weights)[1](given)[0], strict=True)


def _sums_of(aval: Any, batch_size: Size) -> Any:
    """Zeros to sum up a weight's gradient in, for each example by itself: a sum over the batch at
    every time step would be an operation more. Narrow floats would lose what is small beside it."""
    return _wide_zeros((batch_size, *aval.shape), aval.dtype)


def _wide_zeros(shape: Any, dtype: Any) -> jax.Array:
    return jnp.zeros(shape, dtype if dtype.itemsize >= 4 else jnp.float32)


def _value(found: Values, atom: Atom, like: Any) -> Any:
    return found[atom] if is_variable(atom) else jnp.full_like(like, atom.val)


def _over_time(found: Values, atom: Atom | None, first: Any, length: Size) -> Any:
    """The values [T, B, ...] of an atom of the reverse step; None of None."""
    if atom is None or is_variable(atom):
        return None if atom is None else found[atom]
    return jnp.full((length, first.shape[0], *atom.aval.shape), atom.val, atom.aval.dtype)
