"""One recurrence as a scan that saves, for its backward pass, what was costly to compute.

What is saved is decided (`decide`), done (`_save`) and read (`_saved`) here.
"""

from dataclasses import dataclass
from typing import Any

import jax

from jaxrnn.base import Size
from jaxrnn.jaxprs.equations import Equation, Variable, made_by, needed, read_by, variables
from jaxrnn.schedule.loop.backward import go_back
from jaxrnn.schedule.loop.readers import Reader, find_readers
from jaxrnn.schedule.loop.reversing import Forward, Reverse, floats_of, forward_of, reverse_of
from jaxrnn.schedule.reading import COSTLY, DRAWS
from jaxrnn.schedule.rules import Rule, apply_rule
from jaxrnn.schedule.scanning import scan
from jaxrnn.schedule.stages import Loop
from jaxrnn.schedule.stepping import over_batch, products_of

# Equations whose results are slices, or all, of what they read.
VIEWS = ("slice", "split", "squeeze", "reshape", "transpose")


def run_loop(loop: Loop, weights: list, carry: list, streams: list, length: Size):
    """Runs the loop: weights as they are, carry leaves [B, ...], streams [T, B, ...].

    Returns:
      The last carry leaves [B, ...], the new ones and the emitted variables [T, B, ...].
    """
    readers = find_readers(loop)
    if not readers:  # nothing to defer
        return _scan(loop, weights, carry, streams, length)

    def function(weights, carry, streams):
        return _scan(loop, weights, carry, streams, length)

    def forward(weights, carry, streams):
        saving = decide(loop, readers)
        last, new, emitted, saved = _save(saving, weights, carry, streams, length)
        return (last, new, emitted), (new, saved, saving)

    def backward(args, kept, cotangents):
        new, saved, saving = kept
        reverse, values = _saved(saving, saved, cotangents)
        return go_back(loop, reverse, length, args, new, values, cotangents)

    return apply_rule(Rule(function, forward, backward), weights, carry, streams)


def _scan(loop: Loop, weights, carry, streams, length):
    """The plain scan."""
    held = dict(zip(loop.weights, weights, strict=True))
    outputs = [*loop.targets, *loop.emitted]
    return _run(loop, loop.equations, held, outputs, carry, streams, length)


def _run(loop: Loop, equations, held, outputs, carry, streams, length):
    """The scan of `equations`, whose first outputs are the loop's targets; `held` are the values
    of what is the same at every time step."""
    count, batch_size = len(loop.carry), carry[0].shape[0]
    ways = products_of(equations, held, batch_size)
    step = over_batch(equations, held, [*loop.carried, *loop.streams], outputs, ways)

    def body(carry, xs):
        out = step([*carry, *xs])
        return out[:count], out

    last, out = scan(body, list(carry), list(streams), length)
    return last, out[:count], out[count:]


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class Saving:
    """What the forward pass of a loop saves.

    Attributes:
      loop, readers: its readers of weights.
      forward: the forward pass.
      saved: variables of the forward pass that the reverse step reads, [T, B, ...], where all that
        is emitted has a cotangent; where less has one it reads no others.
      reverse: the reverse step in that case.
    """

    loop: Loop
    readers: list[Reader]
    forward: Forward
    saved: list[Variable]
    reverse: Reverse

    @property
    def kept(self) -> list[Variable]:
        """What is saved, and what is bulky of the carry: to put its new values together with the
        first one, for those before each time step, would take another array of them all."""
        return [*self.saved, *(v for v in self.loop.carried if v in self.loop.bulky)]


def decide(loop: Loop, readers: list[Reader]) -> Saving:
    forward = forward_of(loop, readers)
    reverse = reverse_of(loop, readers, forward, floats_of(loop.emitted))
    outputs = [*forward.targets, *forward.emitted, *_rows_made(forward)]
    costly, views = _savable(needed(forward.equations, outputs, ()))
    drawn = made_by([e for e in forward.equations if e.primitive.name in DRAWS])
    costly -= {*forward.bulky}.difference(drawn)  # is worked out again
    views = {v: whole for v, whole in views.items() if whole in costly}
    _, read = _step(loop, forward, reverse, costly | views.keys())
    # a slice is not saved beside the whole
    savable = costly | {v for v, whole in views.items() if whole not in read}
    equations, saved = _step(loop, forward, reverse, savable)
    return Saving(loop, readers, forward, saved, reverse._replace(equations=equations))


def _save(saving: Saving, weights, carry, streams, length):
    """What the plain scan gives, and the values of what is saved."""
    loop, forward = saving.loop, saving.forward
    given_out = [*forward.targets, *forward.emitted]
    outputs = [*given_out, *(v for v in saving.kept if v not in given_out)]
    held = dict(zip(loop.weights, weights, strict=True)) | forward.constants
    equations = needed(forward.equations, outputs, ())
    last, new, out = _run(loop, equations, held, outputs, carry, streams, length)
    values = dict(zip(outputs, [*new, *out], strict=True))
    return last, new, out[: len(loop.emitted)], [values[v] for v in saving.kept]


def _saved(saving: Saving, saved, cotangents) -> tuple[Reverse, dict[Variable, Any]]:
    """The reverse step for those cotangents that there are, and what it reads of the forward
    pass."""
    loop, forward = saving.loop, saving.forward
    values = dict(zip(saving.kept, saved, strict=True))
    _, _, d_emitted = cotangents
    given = zip(loop.emitted, d_emitted, strict=True)
    emitted = floats_of([v for v, d in given if d is not None])
    if emitted == floats_of(loop.emitted):
        return saving.reverse, values
    reverse = reverse_of(loop, saving.readers, forward, emitted)
    equations, _ = _step(loop, forward, reverse, set(values))
    return reverse._replace(equations=equations), values


def _step(
    loop: Loop, forward: Forward, reverse: Reverse, savable: set[Variable]
) -> tuple[list[Equation], list[Variable]]:
    """The equations of a time step backwards, those of the forward pass that it computes again with
    them, and what it reads of `savable`."""
    known = {*loop.weights, *loop.carried, *loop.streams, *reverse.constants}
    known |= {*reverse.transposed, *reverse.d_targets, *reverse.d_emitted}
    # rows that the loop itself makes have to be there afterwards
    results = [*reverse.results, *_rows_made(forward)]
    equations = needed([*forward.equations, *reverse.equations], results, known | savable)
    return equations, [v for v in read_by(equations, results) if v in savable]


def _rows_made(forward: Forward) -> list[Variable]:
    made = set(made_by(forward.equations))
    return [v for names in forward.rows for v in names if v in made]


def _savable(equations: list[Equation]) -> tuple[set[Variable], dict[Variable, Variable]]:
    """What the forward pass computed at a cost, and views of it with the whole they are from."""
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
