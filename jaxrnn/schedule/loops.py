"""One recurrence as a scan that keeps, for its way back, what was costly to compute."""

from jaxrnn.base import Size
from jaxrnn.schedule.backward import Passed, go_back
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.readers import find_readers
from jaxrnn.schedule.reading import is_float, needed
from jaxrnn.schedule.reversing import forward_of, reverse_of
from jaxrnn.schedule.rules import Rule, apply_rule
from jaxrnn.schedule.scanning import scan
from jaxrnn.schedule.stepping import over_batch, products_of


def run_loop(loop: Loop, weights: list, carry: list, streams: list, length: Size):
    """Runs the loop: weights as they are, carry leaves [B, ...], streams [T, B, ...].

    Returns:
      The last carry leaves [B, ...], the new ones and the emitted variables [T, B, ...].
    """
    if not find_readers(loop):  # nothing to defer
        return _scan(loop, weights, carry, streams, length)
    return apply_rule(_deferred(loop, length), weights, carry, streams)


def _scan(loop: Loop, weights, carry, streams, length):
    """The plain scan."""
    held = dict(zip(loop.weights, weights, strict=True))
    outputs = [*loop.targets, *loop.emitted]
    return _run(loop, loop.equations, held, outputs, carry, streams, length)


def _run(loop: Loop, equations, held, outputs, carry, streams, length):
    """The scan of `equations`, whose first outputs are the loop's targets; `held` are the values
    of what is the same at every time step."""
    count, batch_size = len(loop.targets), carry[0].shape[0]
    ways = products_of(equations, held, batch_size)
    step = over_batch(equations, held, [*loop.carried, *loop.streams], outputs, ways)

    def body(carry, xs):
        out = step([*carry, *xs])
        return out[:count], out

    last, out = scan(body, list(carry), list(streams), length)
    return last, out[:count], out[count:]


def _deferred(loop: Loop, length: Size) -> Rule:
    """The scan of a loop that keeps what its way back reads."""

    def function(weights, carry, streams):
        return _scan(loop, weights, carry, streams, length)

    def forward(weights, carry, streams):
        readers = find_readers(loop)
        forward = forward_of(loop, readers)
        floats = [i for i, v in enumerate(loop.emitted) if is_float(v.aval)]
        reverse = reverse_of(loop, readers, forward, floats)
        given_out = [*forward.targets, *forward.emitted]
        beside = [v for v in reverse.saved if v not in given_out]
        held = dict(zip(loop.weights, weights, strict=True)) | forward.constants
        outputs = [*given_out, *beside]
        equations = needed(forward.equations, outputs, ())
        last, new, out = _run(loop, equations, held, outputs, carry, streams, length)
        emitted = out[: len(loop.emitted)]
        over_time = dict(zip(outputs, [*new, *out], strict=True))
        kept = [over_time[v] for v in reverse.saved]
        passed = Passed(readers, forward, floats, reverse)
        return (last, new, emitted), (new, kept, passed)

    def backward(args, kept, cotangents):
        return go_back(loop, length, args, kept, cotangents)

    return Rule(function, forward, backward)
