"""One recurrence as a scan that keeps, for its way back, what was costly to compute."""

import jax
from jax.experimental.hijax import VJPHiPrimitive

from jaxrnn.base import Size
from jaxrnn.schedule.backward import Passed, go_back
from jaxrnn.schedule.planning import Loop
from jaxrnn.schedule.readers import find_readers
from jaxrnn.schedule.reading import is_float
from jaxrnn.schedule.reversing import forward_of, reverse_of
from jaxrnn.schedule.scanning import scan
from jaxrnn.schedule.stepping import over_batch, products_of
from jaxrnn.schedule.symbolic import all_made


def run_loop(loop: Loop, weights: list, carry: list, streams: list, length: Size):
    """Runs the loop: weights as they are, carry leaves [B, ...], streams [T, B, ...].

    Returns:
      The last carry leaves [B, ...], the new ones and the emitted variables [T, B, ...].
    """
    if not find_readers(loop):  # nothing to defer
        return _scan(loop, weights, carry, streams, length)
    return DeferredLoop(loop, weights, carry, streams, length)(weights, carry, streams)


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


class DeferredLoop(VJPHiPrimitive):
    """The scan of a loop with both rules of differentiation."""

    loop: Loop
    length: Size

    def __init__(self, loop, weights, carry, streams, length):
        self.in_avals = jax.tree.map(jax.typeof, (weights, carry, streams))
        out = jax.eval_shape(
            lambda w, c, xs: _scan(loop, w, c, xs, length), weights, carry, streams
        )
        self.out_aval = jax.tree.map(jax.typeof, out)
        self.params = {"loop": loop, "length": length}
        super().__init__()

    def __hash__(self):
        return id(self.loop)

    def __eq__(self, other):
        return self is other

    def expand(self, *args):
        weights, carry, streams = args
        return _scan(self.loop, weights, carry, streams, self.length)

    def jvp(self, primals, tangents):
        tangents = all_made(tangents)
        return jax.jvp(self.expand, primals, tangents)

    def lin(self, nzs_in, *primals):
        return jax.linearize(self.expand, *primals)

    def linearized(self, residuals, *tangents):
        return residuals(*all_made(tangents))

    def batch_dim_rule(self, axis_data, dims):
        mapped = any(d is not None for d in jax.tree.leaves(dims, is_leaf=lambda d: d is None))
        return jax.tree.map(lambda _: 0 if mapped else None, self.out_aval)

    def vjp_fwd(self, nzs_in, /, *args):
        weights, carry, streams = args
        loop = self.loop
        readers = find_readers(loop)
        forward = forward_of(loop, readers)
        floats = [i for i, v in enumerate(loop.emitted) if is_float(v.aval)]
        reverse = reverse_of(loop, readers, forward, floats)
        given_out = [*forward.targets, *forward.emitted]
        beside = [v for v in reverse.saved if v not in given_out]
        held = dict(zip(loop.weights, weights, strict=True)) | forward.constants
        outputs = [*given_out, *beside]
        last, new, out = _run(loop, forward.equations, held, outputs, carry, streams, self.length)
        emitted = out[: len(loop.emitted)]
        over_time = dict(zip([*given_out, *beside], [*new, *out], strict=True))
        kept = [over_time[v] for v in reverse.saved]
        plan = Passed(readers, forward, floats, reverse)
        return (last, new, emitted), (weights, carry, new, streams, kept, plan)

    def vjp_bwd_retval(self, residuals, cotangents):
        return go_back(self.loop, self.length, residuals, cotangents)
