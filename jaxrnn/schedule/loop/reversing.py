"""The reverse of one time step of a loop: what goes from step to step, and what can wait.

Reverse-mode differentiation of the loop's equations, one after another from the last, with two
differences from what `jax.vjp` does: an equation that reads a weight gives its cotangent out
instead of its weight's gradient; and what the forward pass computed at a cost is read, not computed
again (`jaxrnn.schedule.loop.forward` decides what).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.jaxprs.equations import (
    Atom,
    Equation,
    Program,
    Variable,
    as_function,
    is_float,
    is_variable,
    made_by,
    struct,
    struct_of,
    trace,
    variables,
)
from jaxrnn.schedule.devices import zeros
from jaxrnn.schedule.loop.cotangents import Cotangents, slice_of
from jaxrnn.schedule.loop.readers import Reader
from jaxrnn.schedule.products import precision_of
from jaxrnn.schedule.stages import Loop
from jaxrnn.unstable import RULES_END_IN_SCANS


class Link(NamedTuple):
    """An equation of the loop on the way of a derivative.

    Attributes:
      equation: of the loop.
      inside: its varying inputs.
      outputs: its float outputs.
      summed: weights whose gradients the time step sums up.
    """

    equation: Equation
    inside: list[Variable]
    outputs: list[Variable]
    summed: list[Variable]


class Forward(NamedTuple):
    """The loop's equations as the forward pass runs them where derivatives are taken: what has a
    derivative of its own computes what its rule does, so that the derivative of that is what the
    plain loop's is.

    Attributes:
      equations: of one time step, and what the pullbacks read.
      targets, emitted: atoms, as those of the loop.
      rows: for every reader of the loop, its rows' names here.
      bulky: what of the loop's bulky variables it makes, by its names here.
      tape: for the backward pass, in the order of the equations, each with its pullback to `inside`
        and `summed`: a function whose residuals are atoms of the forward pass.
      constants: variable to value.
    """

    equations: list[Equation]
    targets: list[Atom]
    emitted: list[Atom]
    rows: list[list[Variable]]
    bulky: list[Variable]
    tape: list[tuple[Link, Any]]
    constants: dict[Variable, Any]


class AtReader(NamedTuple):
    """What one time step backwards has for the weights of a reader.

    Attributes:
      reader: of the loop.
      rows: its rows, as the forward pass calls them.
      deltas: the cotangents of its outputs, atoms; None where there is none, and of those whose
        weights' gradients are summed up.
      added: what the time step adds to the gradient of its weights, atoms; empty where that waits.
    """

    reader: Reader
    rows: list[Variable]
    deltas: list[Atom | None]
    added: list[Atom]


class Reverse(NamedTuple):
    """One time step, backwards.

    Attributes:
      equations: of one example; they read what the forward pass computes, too.
      constants: variable to value, the forward pass's too.
      transposed: variables [O, I], the transposed weights of the product readers, in their order.
      d_targets, d_emitted: cotangents that go in, variables; of float leaves only.
      d_carry, d_streams: cotangents that come out, atoms; of float leaves only, None where zero.
      readers: of the loop, in their order.
    """

    equations: list[Equation]
    constants: dict[Variable, Any]
    transposed: list[Variable]
    d_targets: list[Variable]
    d_emitted: list[Variable]
    d_carry: list[Atom | None]
    d_streams: list[Atom | None]
    readers: list[AtReader]

    @property
    def results(self) -> list[Atom]:
        at = self.readers
        found = [*self.d_carry, *self.d_streams]
        found += [d for each in at for d in each.deltas] + [d for each in at for d in each.added]
        return [d for d in found if d is not None]


def floats_of(names: Sequence[Variable]) -> list[Variable]:
    """Those that have cotangents."""
    return [v for v in names if is_float(v.aval)]


def forward_of(loop: Loop, readers: list[Reader]) -> Forward:
    every = [*loop.weights, *loop.carried, *loop.streams]
    links = _links(loop, readers)
    bulky = [v for v in made_by(loop.equations) if v in loop.bulky]

    def forward(inputs):
        values = dict(zip(every, inputs, strict=True))
        pulls = []
        for equation, link in zip(loop.equations, links, strict=True):
            read = variables(equation.invars)
            apply = as_function([equation], read, equation.outvars)
            if link is None:
                out = apply(*(values[v] for v in read))
            else:
                pull, out = _pullback(link, apply, {v: values[v] for v in read})
                pulls.append(pull)
            values.update(zip(equation.outvars, out, strict=True))

        def of(atoms):
            return [
                values[v] if is_variable(v) else jnp.asarray(v.val, v.aval.dtype) for v in atoms
            ]

        rows = [of(r.rows) for r in readers]
        return of(loop.targets), of(loop.emitted), rows, of(bulky), pulls

    program = trace(forward, [struct_of(v) for v in every], custom=RULES_END_IN_SCANS)
    program = program.renamed(dict(zip(program.inputs, every, strict=True)))
    targets, emitted, rows, bulky, pulls = program.results
    tape = list(zip(filter(None, links), pulls, strict=True))
    return Forward(program.equations, targets, emitted, rows, bulky, tape, program.constants)


def reverse_of(
    loop: Loop, readers: list[Reader], forward: Forward, emitted: list[Variable]
) -> Reverse:
    """The reverse of a loop's time step.

    Args:
      loop, readers, forward: as `find_readers` and `forward_of` made them.
      emitted: those of the loop's that have a cotangent.
    """
    program = _trace(loop, readers, forward, emitted)
    _, transposed, d_targets, d_emitted = program.arguments
    d_carry, d_streams, deltas, added = program.results
    rows = forward.rows
    return Reverse(
        program.equations,
        forward.constants | program.constants,
        transposed,
        d_targets,
        d_emitted,
        d_carry,
        d_streams,
        _leave_one(list(map(AtReader, readers, rows, deltas, added)), d_streams),
    )


def _leave_one(readers: list[AtReader], d_streams: list[Atom | None]) -> list[AtReader]:
    """Without either the cotangents of a reader or what the step adds to its gradient: of a bias
    without the latter where something else gives the cotangents out anyway."""
    anyway = [d for each in readers if not each.added for d in each.deltas]
    given_out = variables(d for d in [*d_streams, *anyway] if d is not None)

    def one(each):
        if each.reader.kind == "added" and all(d is None or d in given_out for d in each.deltas):
            return each._replace(added=[])
        return each._replace(deltas=[None] * len(each.deltas)) if each.added else each

    return [one(each) for each in readers]


def _trace(loop: Loop, readers: list[Reader], forward: Forward, emitted: list[Variable]) -> Program:
    """The program of (residuals, transposed weights, d_targets, d_emitted) -> (d_carry, d_streams,
    deltas and what is added for every reader). What the forward pass has is called as there."""
    targets = [leaf.new for leaf in loop.carry if is_float(leaf.old.aval)]
    products = [reader.equation for reader in readers if reader.kind == "product"]
    # what is the same for every call is no input: a constant of the trace stays one
    known = variables(a for _, pull in forward.tape for a in jax.tree.leaves(pull))

    def reverse(residuals, transposed, d_targets, d_emitted):
        value_of = dict(zip(known, residuals, strict=True))
        turned = {id(e): w for e, w in zip(products, transposed, strict=True)}
        cotangents = Cotangents()
        for atom, d in zip([*targets, *emitted], [*d_targets, *d_emitted], strict=True):
            cotangents.add(atom, d)
        at_equation: dict[int, tuple[list[Any], list[Any]]] = {}
        for link, pull in reversed(forward.tape):
            equation, inside, outputs, summed = link
            if not any(v in cotangents for v in outputs):
                continue
            given = [zeros(v.aval) if (d := cotangents.get(v)) is None else d for v in outputs]
            where = slice_of(equation)
            if where is not None and inside:
                cotangents.add_slice(inside[0], where, given[0])
                continue
            if id(equation) in turned:
                w, precision = turned[id(equation)], precision_of(equation)
                pulled = [jnp.matmul(d, w, precision=precision) for d in given][: len(inside)]
            else:
                pull = jax.tree.map(lambda a: value_of[a] if is_variable(a) else a.val, pull)
                pulled = pull(given)[0]
            by_output = dict(zip(outputs, given, strict=True))
            deltas = [by_output.get(v) for v in equation.outvars]
            at_equation[id(equation)] = deltas, pulled[len(inside) :] if summed else []
            for v, d in zip(inside, pulled[: len(inside)], strict=True):
                cotangents.add(v, d)
        at_readers = [
            at_equation.get(id(r.equation), ([None] * len(r.equation.outvars), [])) for r in readers
        ]
        return (
            [cotangents.get(v) for v in floats_of(loop.carried)],
            [cotangents.get(v) for v in floats_of(loop.streams)],
            [deltas for deltas, _ in at_readers],
            [added for _, added in at_readers],
        )

    program = trace(
        reverse,
        [struct_of(v) for v in known],
        [struct(e.invars[1].aval.shape[::-1], e.invars[1].aval) for e in products],
        [struct_of(v) for v in targets],
        [struct_of(v) for v in emitted],
        custom=RULES_END_IN_SCANS,
    )
    return program.renamed(dict(zip(program.arguments[0], known, strict=True)))


def _links(loop: Loop, readers: list[Reader]) -> list[Link | None]:
    """For each equation of the loop, whether it is on the way of a derivative."""
    summed = {id(r.equation): r.weights for r in readers if r.kind in ("added", "scaled")}
    moving = set(floats_of([*loop.carried, *loop.streams]))
    links: list[Link | None] = []
    for equation in loop.equations:
        inputs = variables(equation.invars)
        inside = [v for v in inputs if v in moving and is_float(v.aval)]
        if equation.primitive.name == "stop_gradient":
            inside = []  # a loop behind it may have no reverse derivative and need none
        outputs = floats_of(equation.outvars)
        if outputs and (inside or any(v in loop.learnt for v in inputs)):
            moving.update(outputs)
            links.append(Link(equation, inside, outputs, summed.get(id(equation), [])))
        else:
            links.append(None)
    return links


def _pullback(link: Link, apply: Any, values: dict[Variable, Any]) -> tuple[Any, list[Any]]:
    """The pullback to `inside` and `summed`, and what `apply`, the equation, makes."""
    pulled = [*link.inside, *link.summed]

    def function(numbers):
        every = values | dict(zip(pulled, numbers, strict=True))
        out = apply(*(every[v] for v in values))
        made = link.equation.outvars
        return [o for o, v in zip(out, made, strict=True) if is_float(v.aval)], out

    _, pull, out = jax.vjp(function, [values[v] for v in pulled], has_aux=True)
    return pull, out
